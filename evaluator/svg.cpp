// See svg.h.
#include "evaluator/svg.h"

#include <cstdio>

namespace sixteen {
namespace {

constexpr double kWidth = 860, kHeight = 260, kLeft = 50, kBottom = 30, kTop = 12;

}  // namespace

std::string fixed(double value, int digits) {
  char text[512];  // the largest double has 309 digits before the point
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

std::string escape_html(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '&') out += "&amp;";
    else if (c == '\'') out += "&#39;";
    else if (c == '"') out += "&quot;";
    else out += c;
  }
  return out;
}

std::string open_html(const std::string& title) {
  return "<!doctype html><html lang='en'><meta charset='utf-8'><title>" + escape_html(title) +
         "</title><style>body{font:15px system-ui,sans-serif;max-width:900px;margin:2em auto;color:#222}td{padding:.1em 1.2em .1em 0;"
         "vertical-align:top}svg{width:100%;font-size:11px;fill:#555;margin:.6em 0}.grid{stroke:#ddd}.thin{fill:none;stroke:#9bbcd8}"
         ".thick{fill:none;stroke:#14508c;stroke-width:2}.bar{fill:#14508c}.bad{color:#b00020}.good{color:#1b6e2c}.open{color:#777}"
         "</style><h1>" +
         escape_html(title) + "</h1>";
}

Chart::Chart(double low, double high, const std::string& x_label) : low_(low), high_(high) {
  svg_ = "<svg viewBox='0 0 " + fixed(kWidth, 0) + " " + fixed(kHeight, 0) + "' role='img'>";
  for (int i = 0; i <= 4; ++i) {
    const double value = low + (high - low) * i / 4;
    svg_ += "<line class='grid' x1='" + fixed(kLeft, 0) + "' x2='" + fixed(kWidth, 0) + "' y1='" + fixed(y(value), 1) + "' y2='" +
            fixed(y(value), 1) + "'/><text x='" + fixed(kLeft - 6, 0) + "' y='" + fixed(y(value) + 4, 1) + "' text-anchor='end'>" +
            fixed(value, 2) + "</text>";
  }
  svg_ += "<text x='" + fixed((kLeft + kWidth) / 2, 0) + "' y='" + fixed(kHeight - 6, 0) + "' text-anchor='middle'>" +
          escape_html(x_label) + "</text>";
}

double Chart::y(double value) const { return kTop + (high_ - value) / (high_ - low_) * (kHeight - kTop - kBottom); }

void Chart::line(const std::vector<double>& values, const char* style) {
  std::string points;
  for (size_t i = 0; i < values.size(); ++i) {
    const double x = kLeft + (kWidth - kLeft) * (static_cast<double>(i) + 0.5) / static_cast<double>(values.size());
    points += fixed(x, 1) + "," + fixed(y(values[i]), 1) + " ";
  }
  svg_ += std::string("<polyline class='") + style + "' points='" + points + "'/>";
}

void Chart::bars(const std::vector<double>& values) {
  const double width = (kWidth - kLeft) / static_cast<double>(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    svg_ += "<rect class='bar' x='" + fixed(kLeft + width * static_cast<double>(i), 1) + "' width='" + fixed(width - 1, 1) + "' y='" +
            fixed(y(values[i]), 1) + "' height='" + fixed(y(low_) - y(values[i]), 1) + "'/>";
  }
}

}  // namespace sixteen
