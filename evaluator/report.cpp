// See report.h.
#include "evaluator/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>

#include "formats/check.h"
#include "formats/file.h"

namespace sixteen {
namespace {

constexpr size_t kBuckets = 200;
constexpr double kWidth = 860, kHeight = 260, kLeft = 50, kBottom = 30, kTop = 12;

std::string number(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

std::string escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '&') out += "&amp;";
    else out += c;
  }
  return out;
}

struct Axis {
  double low, high;
  double y(double value) const { return kTop + (high - value) / (high - low) * (kHeight - kTop - kBottom); }
};

std::string open_svg(const Axis& axis, const std::string& x_label) {
  std::string svg = "<svg viewBox='0 0 " + number(kWidth, 0) + " " + number(kHeight, 0) + "' role='img'>";
  for (int i = 0; i <= 4; ++i) {
    const double value = axis.low + (axis.high - axis.low) * i / 4;
    svg += "<line class='grid' x1='" + number(kLeft, 0) + "' x2='" + number(kWidth, 0) + "' y1='" + number(axis.y(value), 1) +
           "' y2='" + number(axis.y(value), 1) + "'/><text x='" + number(kLeft - 6, 0) + "' y='" + number(axis.y(value) + 4, 1) +
           "' text-anchor='end'>" + number(value, 2) + "</text>";
  }
  return svg + "<text x='" + number((kLeft + kWidth) / 2, 0) + "' y='" + number(kHeight - 6, 0) + "' text-anchor='middle'>" + x_label +
         "</text>";
}

std::string polyline(const std::vector<double>& values, const Axis& axis, const char* style) {
  std::string points;
  for (size_t i = 0; i < values.size(); ++i) {
    const double x = kLeft + (kWidth - kLeft) * (static_cast<double>(i) + 0.5) / static_cast<double>(values.size());
    points += number(x, 1) + "," + number(axis.y(values[i]), 1) + " ";
  }
  return std::string("<polyline class='") + style + "' points='" + points + "'/>";
}

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
  const Axis axis{std::floor(*low * 10) / 10, std::ceil(*high * 10 + 0.01) / 10};
  return open_svg(axis, "position in the text; thin: bpb of 1/" + std::to_string(buckets) + " of it, thick: bpb so far") +
         polyline(local, axis, "thin") + polyline(running, axis, "thick") + "</svg>";
}

std::string histogram(std::span<const float> nll) {
  constexpr size_t kBins = 64;
  constexpr double kMaxBits = 16;
  std::vector<double> share(kBins, 0.0);
  for (const float nats : nll) {
    const double bits = nats / std::numbers::ln2;
    share[std::min(kBins - 1, static_cast<size_t>(std::max(0.0, bits) / kMaxBits * kBins))] += 100.0 / static_cast<double>(nll.size());
  }
  const Axis axis{0, *std::max_element(share.begin(), share.end()) * 1.05};
  std::string svg = open_svg(axis, "bits of a target, 0 to 16 (the last bar: 16 and more); height: % of targets");
  const double width = (kWidth - kLeft) / kBins;
  for (size_t i = 0; i < kBins; ++i) {
    svg += "<rect class='bar' x='" + number(kLeft + width * static_cast<double>(i), 1) + "' width='" + number(width - 1, 1) + "' y='" +
           number(axis.y(share[i]), 1) + "' height='" + number(axis.y(0) - axis.y(share[i]), 1) + "'/>";
  }
  return svg + "</svg>";
}

}  // namespace

void write_report(const std::string& path, const ScoreReport& report, std::span<const uint16_t> tokens,
                  std::span<const Window> windows, std::span<const float> nll, const ByteTables& tables) {
  std::string html =
      "<!doctype html><html lang='en'><meta charset='utf-8'><title>" + escape(report.title) +
      "</title><style>body{font:15px system-ui,sans-serif;max-width:900px;margin:2em auto;color:#222}td{padding:.1em 1.2em .1em 0}"
      "svg{width:100%;font-size:11px;fill:#555;margin:.6em 0}.grid{stroke:#ddd}.thin{fill:none;stroke:#9bbcd8}"
      ".thick{fill:none;stroke:#14508c;stroke-width:2}.bar{fill:#14508c}</style><h1>" +
      escape(report.title) + "</h1><table>";
  for (const auto& [name, value] : report.facts) html += "<tr><td>" + escape(name) + "</td><td>" + escape(value) + "</td></tr>";
  html += "</table>" + curve(tokens, windows, nll, tables) + histogram(nll) + "</html>\n";
  write_file(path, html);
}

}  // namespace sixteen
