// Verdicts: what counts as legal, and that text, JSON and HTML tell the same, faults and omissions included.
#include "evaluator/verdict.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "formats/file.h"
#include "tests/support/scratch.h"

namespace sixteen {
namespace {

constexpr Condition kFour[] = {Condition::kC1, Condition::kC2, Condition::kC3, Condition::kC4};

TEST(Verdict, NothingCheckedIsNotLegal) {
  Verdict verdict("nothing");
  EXPECT_FALSE(verdict.legal());
  verdict.skip(Condition::kC2, "sums", "give --normalised");
  EXPECT_FALSE(verdict.legal());
  EXPECT_FALSE(verdict.checked(Condition::kC2));
  EXPECT_EQ(verdict.headline(), "NO VIOLATION FOUND, not checked: C1, C2, C3, C4");
}

TEST(Verdict, IsLegalOnlyInFullWhenAllFourAreChecked) {
  Verdict verdict("a run");
  for (const Condition condition : kFour) {
    EXPECT_NE(verdict.headline(), "LEGAL");
    verdict.pass(condition, "looked", "fine");
  }
  EXPECT_EQ(verdict.headline(), "LEGAL");
  EXPECT_TRUE(verdict.legal());
  verdict.fault(Condition::kBytes, "sum", "7 more", 12);
  EXPECT_EQ(verdict.headline(), "NOT LEGAL: bytes");
  EXPECT_FALSE(verdict.legal());
}

TEST(Verdict, SaysTheSameEverywhere) {
  Verdict verdict("m.s16 & <ledger>");
  verdict.set_score(1.25);
  verdict.set_order(EventOrder::kStrong);
  verdict.set_curve({1.1, 1.3, 1.2});
  verdict.fact("targets", "400");
  verdict.pass(Condition::kC1, "tail replaced", "4 cuts");
  verdict.fault(Condition::kC3, "update", "trains on target 97 < 100", 97);
  verdict.skip(Condition::kC2, "sums", "give --normalised N");
  const testing::Scratch scratch;
  verdict.write_html(scratch.path("v.html"));
  const std::string text = verdict.text(), html = read_text_file(scratch.path("v.html"));
  for (const char* part : {"NOT LEGAL: C3", "1.25000000", "strong", "tail replaced", "4 cuts", "first at target 97", "give --normalised N"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
    EXPECT_NE(html.find(part), std::string::npos) << part;
  }
  EXPECT_NE(html.find("m.s16 &amp; &lt;ledger&gt;"), std::string::npos);
  EXPECT_NE(html.find("97 &lt; 100"), std::string::npos);
  EXPECT_NE(html.find("<polyline"), std::string::npos);
  for (const char* outside : {"http://", "https://", "<script", "src="}) EXPECT_EQ(html.find(outside), std::string::npos) << outside;
  const nlohmann::json json = verdict.json();
  EXPECT_EQ(json.at("legal"), false);
  EXPECT_EQ(json.at("conditions").at("C1"), "pass");
  EXPECT_EQ(json.at("conditions").at("C2"), "not checked");
  EXPECT_EQ(json.at("conditions").at("C3"), "FAULT");
  EXPECT_EQ(json.at("evidence").at(1).at("first_target"), 97);
}

}  // namespace
}  // namespace sixteen
