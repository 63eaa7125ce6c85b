// How bytes and error of a class of tensors depend on its clip, from a few measured points; and the clips of several classes
// that lose least within a number of bytes.
//
// In between, bits and log2(error) are monotone cubics (Fritsch & Butland 1984) over x = log2(clip in standard deviations):
// doubling the clip costs one bit a weight less and four times the error, until clipping or the last codes change that.
// The least error at given bytes has equal slopes d error / d bytes in all classes (Lagrange; Shoham & Gersho 1988).
#pragma once

#include <span>
#include <vector>

namespace sixteen {

struct RatePoint {
  double x = 0;      // log2 of clip_sigmas
  double bits = 0;   // of a weight
  double error = 0;  // of the class; positive
};

class RateCurve {
 public:
  explicit RateCurve(std::vector<RatePoint> points);  // at least 2, x ascending
  double bits(double x) const;                        // x within [low(), high()]
  double error(double x) const;
  double low() const { return points_.front().x; }
  double high() const { return points_.back().x; }

 private:
  double value(double x, bool of_error) const;

  std::vector<RatePoint> points_;                  // errors as log2
  std::vector<double> bit_slopes_, error_slopes_;  // at the points
};

struct RateClass {
  double numel = 0;
  RateCurve curve;
};

struct Allocation {
  std::vector<double> x;  // of each class
  double bytes = 0, error = 0;
};

Allocation allocation_at(std::span<const RateClass> classes, std::vector<double> x);
// The least error within `bytes`, which it comes close to; the ends of the curves where they do not reach so far.
Allocation allocate(std::span<const RateClass> classes, double bytes);
// The same change of x in every class from where they stand (ends of curves apart), to come close to `bytes`.
Allocation shift(std::span<const RateClass> classes, std::span<const double> x, double bytes);

}  // namespace sixteen
