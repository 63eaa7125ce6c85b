// The HTML report: one file that loads nothing, whose curves say what was scored.
#include "evaluator/report.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "formats/file.h"
#include "tests/support/scratch.h"

namespace sixteen {
namespace {

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

std::string report_of(const std::vector<float>& nll) {
  const testing::Scratch scratch;
  const std::vector<uint16_t> tokens(nll.size() + 1, 1);
  const ByteTables tables{.base_bytes = {0, 2}, .leading_space = {0, 0}, .boundary = {0, 0}};
  write_report(scratch.path("r.html"), {"a<b> & c", {{"method", "x < y"}}}, tokens,
               plain_windows(static_cast<int64_t>(nll.size()), 64, false), nll, tables);
  EXPECT_EQ(scratch.count(), 1u);
  return read_text_file(scratch.path("r.html"));
}

TEST(Report, LoadsNothing) {
  std::vector<float> nll(1000);
  for (size_t i = 0; i < nll.size(); ++i) nll[i] = static_cast<float>(i % 17) * 0.4f;
  const std::string html = report_of(nll);
  for (const char* foreign : {"http", "src=", "href", "<script", "<link", "@import", "url("}) {
    EXPECT_EQ(html.find(foreign), std::string::npos) << foreign;
  }
  EXPECT_EQ(count(html, "<svg"), 2u);
  EXPECT_EQ(count(html, "</svg>"), 2u);
  EXPECT_EQ(html.find("nan"), std::string::npos);
  EXPECT_NE(html.find("<h1>a&lt;b&gt; &amp; c</h1>"), std::string::npos);
  EXPECT_NE(html.find("<td>x &lt; y</td>"), std::string::npos);
}

TEST(Report, CurvesHaveAPointForEveryStretchAndSurviveFewTargets) {
  for (const size_t targets : {1, 3, 200, 1001}) {
    const std::string html = report_of(std::vector<float>(targets, 1.0f));
    const size_t at = html.find("<polyline");
    ASSERT_NE(at, std::string::npos);
    const std::string line = html.substr(at, html.find("/>", at) - at);
    EXPECT_EQ(count(line, ","), std::min<size_t>(targets, 200)) << targets;
    EXPECT_EQ(html.find("nan"), std::string::npos);
    EXPECT_EQ(html.find("inf"), std::string::npos);
  }
}

}  // namespace
}  // namespace sixteen
