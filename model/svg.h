// Pieces of the HTML reports: escaped text, numbers, charts and treemaps. Nothing to load, no scripts.
#pragma once

#include <string>
#include <vector>

namespace sixteen {

// "<", ">", "&" and both quotes as entities: fit for text and for attributes.
std::string escape_html(const std::string& text);
// "%.*f".
std::string fixed(double value, int digits);

// <!doctype html> ... the opened body with the reports' style and its heading.
std::string open_html(const std::string& title);

// A chart 860 wide and 260 high, its values between `low` and `high`, five grid lines with their values.
class Chart {
 public:
  Chart(double low, double high, const std::string& x_label);
  // Equally spaced along the width. style: "thin" or "thick".
  void line(const std::vector<double>& values, const char* style);
  void bars(const std::vector<double>& values);
  std::string svg() const { return svg_ + "</svg>"; }

 private:
  double y(double value) const;

  double low_, high_;
  std::string svg_;
};

// A rectangle of a treemap: its size, what it is called, what a pointer over it tells, its fill (any CSS colour).
struct TreemapCell {
  double size = 0;
  std::string label, title, fill;
};

// An area of 860 by 430 shared out by size, the largest first (squarified: M. Bruls, K. Huizing, J. van Wijk, 2000). Cells
// of size 0 are left out; labels stand where they fit.
std::string treemap(std::vector<TreemapCell> cells);

}  // namespace sixteen
