// See report.h.
#include "evaluator/report.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/svg.h"
#include "formats/check.h"
#include "formats/file.h"

namespace sixteen {
namespace {

constexpr size_t kBuckets = 200;

std::string curve(std::span<const uint16_t> tokens, std::span<const Window> windows, std::span<const float> nll,
                  const ByteTables& tables) {
  const size_t buckets = std::min(kBuckets, nll.size());
  std::vector<double> nats(buckets, 0.0), bytes(buckets, 0.0), local, running;
  size_t i = 0;
  for (const Window& window : windows) {
    for (int64_t target = window.first_target(); target < window.first_target() + window.scored; ++target, ++i) {
      const size_t bucket = i * buckets / nll.size();
      nats[bucket] += nll[i];
      bytes[bucket] += tables.bytes(tokens[target], tokens[target - 1]);
    }
  }
  CHECK(i == nll.size());
  double all_nats = 0, all_bytes = 0;
  for (size_t b = 0; b < buckets; ++b) {
    all_nats += nats[b];
    all_bytes += bytes[b];
    local.push_back(nats[b] / std::numbers::ln2 / std::max(bytes[b], 1.0));
    running.push_back(all_nats / std::numbers::ln2 / std::max(all_bytes, 1.0));
  }
  const auto [low, high] = std::minmax_element(local.begin(), local.end());
  Chart chart(std::floor(*low * 10) / 10, std::ceil(*high * 10 + 0.01) / 10,
              "position in the text; thin: bpb of 1/" + std::to_string(buckets) + " of it, thick: bpb so far");
  chart.line(local, "thin");
  chart.line(running, "thick");
  return chart.svg();
}

std::string histogram(std::span<const float> nll) {
  constexpr size_t kBins = 64;
  constexpr double kMaxBits = 16;
  std::vector<double> share(kBins, 0.0);
  for (const float nats : nll) {
    const double bits = nats / std::numbers::ln2;
    share[std::min(kBins - 1, static_cast<size_t>(std::max(0.0, bits) / kMaxBits * kBins))] += 100.0 / static_cast<double>(nll.size());
  }
  Chart chart(0, *std::max_element(share.begin(), share.end()) * 1.05, "bits of a target, 0 to 16 (the last bar: 16 and more); height: % of targets");
  chart.bars(share);
  return chart.svg();
}

}  // namespace

void write_report(const std::string& path, const ScoreReport& report, std::span<const uint16_t> tokens,
                  std::span<const Window> windows, std::span<const float> nll, const ByteTables& tables) {
  std::string html = open_html(report.title) + "<table>";
  for (const auto& [name, value] : report.facts) html += "<tr><td>" + escape_html(name) + "</td><td>" + escape_html(value) + "</td></tr>";
  html += "</table>" + curve(tokens, windows, nll, tables) + histogram(nll) + "</html>\n";
  write_file(path, html);
}

}  // namespace sixteen
