// See rate_curve.h.
#include "packer/rate_curve.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "formats/check.h"

namespace sixteen {
namespace {

constexpr double kStep = 1.0 / 128;  // of x where allocate() looks for the best place; between two it interpolates
constexpr int kHalvings = 60;

// Slopes at the points that keep the cubic between neighbours: the harmonic mean of the secants, 0 at an extremum.
std::vector<double> slopes(std::span<const RatePoint> points, const std::function<double(const RatePoint&)>& value) {
  std::vector<double> secants, result;
  for (size_t i = 1; i < points.size(); ++i) {
    secants.push_back((value(points[i]) - value(points[i - 1])) / (points[i].x - points[i - 1].x));
  }
  result.push_back(secants.front());
  for (size_t i = 1; i < secants.size(); ++i) {
    const double a = secants[i - 1], b = secants[i];
    result.push_back(a * b > 0 ? 2 * a * b / (a + b) : 0);
  }
  result.push_back(secants.back());
  return result;
}

// Candidates of one class, so that a multiplier's choice is one pass over them.
struct Grid {
  std::vector<double> x, bytes, error;
};

Grid grid_of(const RateClass& c) {
  Grid grid;
  const auto steps = static_cast<int64_t>(std::ceil((c.curve.high() - c.curve.low()) / kStep));
  for (int64_t i = 0; i <= steps; ++i) {
    const double x = std::min(c.curve.low() + kStep * static_cast<double>(i), c.curve.high());
    grid.x.push_back(x);
    grid.bytes.push_back(c.numel * c.curve.bits(x) / 8);
    grid.error.push_back(c.curve.error(x));
  }
  return grid;
}

// What loses least when a byte costs `multiplier` of error.
Allocation choose(std::span<const Grid> grids, double multiplier) {
  Allocation result;
  for (const Grid& g : grids) {
    size_t best = 0;
    for (size_t i = 1; i < g.x.size(); ++i) {
      if (g.error[i] + multiplier * g.bytes[i] < g.error[best] + multiplier * g.bytes[best]) best = i;
    }
    result.x.push_back(g.x[best]);
    result.bytes += g.bytes[best];
    result.error += g.error[best];
  }
  return result;
}

}  // namespace

RateCurve::RateCurve(std::vector<RatePoint> points) : points_(std::move(points)) {
  CHECK(points_.size() >= 2);
  for (size_t i = 0; i < points_.size(); ++i) {
    CHECK(points_[i].error > 0 && (i == 0 || points_[i].x > points_[i - 1].x));
    points_[i].error = std::log2(points_[i].error);
  }
  bit_slopes_ = slopes(points_, [](const RatePoint& p) { return p.bits; });
  error_slopes_ = slopes(points_, [](const RatePoint& p) { return p.error; });
}

double RateCurve::value(double x, bool of_error) const {
  CHECK(x >= low() && x <= high());
  size_t i = 0;
  while (i + 2 < points_.size() && x > points_[i + 1].x) ++i;
  const RatePoint &a = points_[i], &b = points_[i + 1];
  const std::vector<double>& slope = of_error ? error_slopes_ : bit_slopes_;
  const double width = b.x - a.x, t = (x - a.x) / width, u = 1 - t;
  const double from = of_error ? a.error : a.bits, to = of_error ? b.error : b.bits;
  return u * u * (1 + 2 * t) * from + t * t * (1 + 2 * u) * to + width * t * u * (u * slope[i] - t * slope[i + 1]);
}

double RateCurve::bits(double x) const { return value(x, false); }

double RateCurve::error(double x) const { return std::exp2(value(x, true)); }

Allocation allocation_at(std::span<const RateClass> classes, std::vector<double> x) {
  CHECK(x.size() == classes.size());
  Allocation result{.x = std::move(x)};
  for (size_t c = 0; c < classes.size(); ++c) {
    result.bytes += classes[c].numel * classes[c].curve.bits(result.x[c]) / 8;
    result.error += classes[c].curve.error(result.x[c]);
  }
  return result;
}

Allocation allocate(std::span<const RateClass> classes, double bytes) {
  std::vector<Grid> grids;
  for (const RateClass& c : classes) grids.push_back(grid_of(c));
  Allocation large = choose(grids, 0);  // the least error of all
  if (large.bytes <= bytes) return large;
  double low = -200, high = 200;  // log2 of the multiplier: beyond any error over bytes
  Allocation small = choose(grids, std::exp2(high));
  if (small.bytes >= bytes) return small;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    const Allocation found = choose(grids, std::exp2(middle));
    (found.bytes > bytes ? low : high) = middle;
    (found.bytes > bytes ? large : small) = found;
  }
  const double t = (bytes - small.bytes) / (large.bytes - small.bytes);
  for (size_t c = 0; c < classes.size(); ++c) small.x[c] += t * (large.x[c] - small.x[c]);
  return allocation_at(classes, small.x);
}

Allocation shift(std::span<const RateClass> classes, std::span<const double> x, double bytes) {
  const auto moved = [&](double by) {
    std::vector<double> to;
    for (size_t c = 0; c < classes.size(); ++c) {
      to.push_back(std::clamp(x[c] + by, classes[c].curve.low(), classes[c].curve.high()));
    }
    return allocation_at(classes, to);
  };
  double fine = -16, coarse = 16;  // more octaves than any curve has
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (fine + coarse) / 2;
    (moved(middle).bytes > bytes ? fine : coarse) = middle;
  }
  return moved(coarse);
}

}  // namespace sixteen
