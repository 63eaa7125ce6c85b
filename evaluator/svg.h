// Pieces of the HTML reports: escaped text, numbers, one kind of chart. Nothing to load, no scripts.
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

}  // namespace sixteen
