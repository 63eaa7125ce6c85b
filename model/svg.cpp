// See svg.h.
#include "model/svg.h"

#include <algorithm>
#include <cstdio>

namespace sixteen {
namespace {

constexpr double kWidth = 860, kHeight = 260, kLeft = 50, kBottom = 30, kTop = 12;
constexpr double kMapHeight = 430, kLetter = 6.5, kLine = 13;

struct Area {
  double x, y, width, height;
};

std::string draw_cell(const TreemapCell& cell, const Area& a) {
  std::string svg = "<rect x='" + fixed(a.x, 2) + "' y='" + fixed(a.y, 2) + "' width='" + fixed(a.width, 2) + "' height='" +
                    fixed(a.height, 2) + "' fill='" + escape_html(cell.fill) + "' stroke='#fff'><title>" + escape_html(cell.title) +
                    "</title></rect>";
  const bool fits = a.height > kLine && kLetter * static_cast<double>(cell.label.size()) < a.width;
  if (fits) svg += "<text x='" + fixed(a.x + 4, 2) + "' y='" + fixed(a.y + kLine, 2) + "' pointer-events='none'>" + escape_html(cell.label) + "</text>";
  return svg;
}

// How far the worst of `count` cells from `begin` on is from a square when they fill a strip along `side` together.
double worst_shape(const std::vector<TreemapCell>& cells, size_t begin, size_t count, double side, double scale) {
  double sum = 0, worst = 0;
  for (size_t i = begin; i < begin + count; ++i) sum += cells[i].size * scale;
  const double depth = sum / side;
  for (size_t i = begin; i < begin + count; ++i) {
    const double length = cells[i].size * scale / depth;
    worst = std::max(worst, std::max(length / depth, depth / length));
  }
  return worst;
}

}  // namespace

std::string treemap(std::vector<TreemapCell> cells) {
  std::erase_if(cells, [](const TreemapCell& cell) { return !(cell.size > 0); });
  std::stable_sort(cells.begin(), cells.end(), [](const TreemapCell& a, const TreemapCell& b) { return a.size > b.size; });
  double total = 0;
  for (const TreemapCell& cell : cells) total += cell.size;
  const double scale = total > 0 ? kWidth * kMapHeight / total : 0;
  std::string svg = "<svg viewBox='0 0 " + fixed(kWidth, 0) + " " + fixed(kMapHeight, 0) + "' role='img'>";
  Area left{0, 0, kWidth, kMapHeight};
  for (size_t begin = 0; begin < cells.size();) {
    const bool column = left.width >= left.height;  // a strip along the shorter side
    const double side = column ? left.height : left.width;
    size_t count = 1;
    while (begin + count < cells.size() &&
           worst_shape(cells, begin, count + 1, side, scale) <= worst_shape(cells, begin, count, side, scale)) {
      ++count;
    }
    double sum = 0, at = 0;
    for (size_t i = begin; i < begin + count; ++i) sum += cells[i].size * scale;
    const double depth = sum / side;
    for (size_t i = begin; i < begin + count; ++i) {
      const double length = cells[i].size * scale / depth;
      svg += draw_cell(cells[i], column ? Area{left.x, left.y + at, depth, length} : Area{left.x + at, left.y, length, depth});
      at += length;
    }
    (column ? left.x : left.y) += depth;
    (column ? left.width : left.height) -= depth;
    begin += count;
  }
  return svg + "</svg>";
}

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
