// The part of numpy_random.h that draws whole distributions: choice without replacement, binomial, multinomial, NumPy's sum.
// Order of operations: NumPy 2.2's _generator.pyx, distributions.c and loops_utils.h.
//
// Bites: every comparison with a draw hangs on the last bit, so no expression here may be rearranged.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "formats/check.h"
#include "model/numpy_random.h"

namespace sixteen {

double numpy_sum(std::span<const double> values) {
  const size_t n = values.size();
  constexpr size_t kLanes = 8, kBlock = 128;
  if (n < kLanes) {
    double sum = 0;
    for (const double value : values) sum += value;
    return sum;
  }
  if (n > kBlock) {
    const size_t half = n / 2 - n / 2 % kLanes;
    return numpy_sum(values.first(half)) + numpy_sum(values.subspan(half));
  }
  double lane[kLanes];
  std::copy_n(values.begin(), kLanes, lane);
  size_t i = kLanes;
  for (; i < n - n % kLanes; i += kLanes) {
    for (size_t k = 0; k < kLanes; ++k) lane[k] += values[i + k];
  }
  double sum = ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
  for (; i < n; ++i) sum += values[i];
  return sum;
}

std::vector<int32_t> NumpyRandom::choose(std::span<const double> p, int64_t count) {
  CHECK(std::count_if(p.begin(), p.end(), [](double x) { return x > 0; }) >= count);
  std::vector<double> left(p.begin(), p.end()), cdf(p.size()), draws;
  std::vector<int32_t> found;
  while (static_cast<int64_t>(found.size()) < count) {
    draws.resize(count - found.size());
    for (double& draw : draws) draw = next_double();
    for (const int32_t index : found) left[index] = 0;
    double running = 0;
    for (size_t i = 0; i < left.size(); ++i) cdf[i] = running += left[i];
    for (double& step : cdf) step /= running;
    const size_t before = found.size();  // what a round draws twice counts once
    for (const double draw : draws) {
      const auto index = static_cast<int32_t>(std::upper_bound(cdf.begin(), cdf.end(), draw) - cdf.begin());
      if (std::find(found.begin() + before, found.end(), index) == found.end()) found.push_back(index);
    }
  }
  return found;
}

std::vector<int64_t> NumpyRandom::multinomial(int64_t n, std::span<const double> p) {
  CHECK(!p.empty() && n >= 0);
  std::vector<int64_t> counts(p.size(), 0);
  double remaining = 1;
  for (size_t i = 0; i + 1 < p.size(); ++i) {
    counts[i] = binomial(n, p[i] / remaining);
    n -= counts[i];
    if (n <= 0) return counts;
    remaining -= p[i];
  }
  counts.back() = n;
  return counts;
}

int64_t NumpyRandom::binomial(int64_t n, double p) {
  if (n == 0 || p == 0) return 0;
  const bool flip = p > 0.5;
  const double small = flip ? 1.0 - p : p;
  constexpr double kInversionMean = 30;
  const int64_t drawn =
      small * static_cast<double>(n) <= kInversionMean ? binomial_inversion(n, small) : binomial_btpe(n, small);
  return flip ? n - drawn : drawn;
}

int64_t NumpyRandom::binomial_inversion(int64_t n, double p) {
  const double q = 1.0 - p, count = static_cast<double>(n), mean = count * p;
  const double none = std::exp(count * std::log1p(-p));
  const auto bound = static_cast<int64_t>(std::min(count, mean + 10.0 * std::sqrt(mean * q + 1)));
  int64_t x = 0;
  double mass = none, draw = next_double();
  while (draw > mass) {
    if (++x > bound) {
      x = 0;
      mass = none;
      draw = next_double();
    } else {
      draw -= mass;
      mass = (static_cast<double>(n - x + 1) * p * mass) / (static_cast<double>(x) * q);
    }
  }
  return x;
}

namespace {

// What BTPE knows of Binomial(n, r), r <= 0.5: a triangle, two parallelograms and two exponential tails over the density.
struct Btpe {
  Btpe(int64_t n_in, double r_in)
      : n(n_in), r(r_in), q(1.0 - r), fm(n * r + r), m(static_cast<int64_t>(std::floor(fm))) {
    p1 = std::floor(2.195 * std::sqrt(n * r * q) - 4.6 * q) + 0.5;
    xm = m + 0.5;
    xl = xm - p1;
    xr = xm + p1;
    c = 0.134 + 20.5 / (15.3 + m);
    double a = (fm - xl) / (fm - xl * r);
    left = a * (1.0 + a / 2.0);
    a = (xr - fm) / (xr * q);
    right = a * (1.0 + a / 2.0);
    p2 = p1 * (1.0 + 2.0 * c);
    p3 = p2 + c / left;
    p4 = p3 + c / right;
  }

  // Does y stay, drawn under the hull at height v?
  bool accept(int64_t y, double v) const {
    const double nrq = n * r * q;
    const int64_t k = std::llabs(y - m);
    if (k > 20 && k < nrq / 2.0 - 1) return squeeze(y, v, static_cast<double>(k), nrq);
    const double s = r / q, a = s * (n + 1);
    double f = 1.0;
    for (int64_t i = m + 1; i <= y; ++i) f *= a / i - s;
    for (int64_t i = y + 1; i <= m; ++i) f /= a / i - s;
    return v <= f;
  }

  // The density's ratio to its peak: by bounds first, else by Stirling's series.
  bool squeeze(int64_t y, double v, double k, double nrq) const {
    const double rho = (k / nrq) * ((k * (k / 3.0 + 0.625) + 0.16666666666666666) / nrq + 0.5);
    const double t = -k * k / (2 * nrq), height = std::log(v);
    if (height < t - rho) return true;
    if (height > t + rho) return false;
    const auto stirling = [](double x) {
      const double x2 = x * x;
      return (13680. - (462. - (132. - (99. - 140. / x2) / x2) / x2) / x2) / x / 166320.;
    };
    const double x1 = y + 1, f1 = m + 1, z = n + 1 - m, w = n - y + 1;
    return height <= xm * std::log(f1 / x1) + (n - m + 0.5) * std::log(z / w) + (y - m) * std::log(w * r / (x1 * q)) +
                         stirling(f1) + stirling(z) + stirling(x1) + stirling(w);
  }

  int64_t n;
  double r, q, fm;
  int64_t m;
  double p1, p2, p3, p4, xm, xl, xr, c, left, right;
};

}  // namespace

int64_t NumpyRandom::binomial_btpe(int64_t n, double p) {
  const Btpe b(n, p);
  for (;;) {
    const double u = next_double() * b.p4;
    double v = next_double();
    int64_t y = 0;
    if (u <= b.p1) return static_cast<int64_t>(std::floor(b.xm - b.p1 * v + u));
    if (u <= b.p2) {
      const double x = b.xl + (u - b.p1) / b.c;
      v = v * b.c + 1.0 - std::fabs(b.m - x + 0.5) / b.p1;
      if (v > 1.0) continue;
      y = static_cast<int64_t>(std::floor(x));
    } else if (v == 0.0) {
      continue;  // both tails take its logarithm
    } else if (u <= b.p3) {
      y = static_cast<int64_t>(std::floor(b.xl + std::log(v) / b.left));
      if (y < 0) continue;
      v = v * (u - b.p2) * b.left;
    } else {
      y = static_cast<int64_t>(std::floor(b.xr - std::log(v) / b.right));
      if (y > n) continue;
      v = v * (u - b.p3) * b.right;
    }
    if (b.accept(y, v)) return y;
  }
}

}  // namespace sixteen
