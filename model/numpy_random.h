// NumPy's default random generator, bit for bit: Generator(PCG64(seed)), so that our data order is the records' data order.
//
// Sources: SeedSequence and PCG64 (XSL-RR 128/64, M. O'Neill) as NumPy 2.2 has them; bounded integers by Lemire's method;
// permutation by masked rejection; binomial by inversion and by Kachitvichyanukul and Schmeiser's BTPE (1988), in
// numpy_distributions.cpp. Checked against NumPy's own output (tests/model/numpy_random_test.cpp).
// Bites: 32-bit draws come in pairs out of one 64-bit draw, and the second half waits through any number of double draws.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sixteen {

class NumpyRandom {
 public:
  explicit NumpyRandom(uint64_t seed);

  uint64_t next64();
  uint32_t next32();     // low half of a 64-bit draw first, its high half on the next call
  double next_double();  // [0, 1), 53 bits; leaves a waiting half alone

  // integers(0, n): uniform in [0, n), 1 <= n < 2^32. n = 1 draws nothing, as in NumPy.
  uint32_t integers(uint32_t n);
  // permutation(n): values receives 0 .. n - 1 in random order, n < 2^31.
  void permutation(std::span<int32_t> values);
  // choice(len(weights), p=weights / sum): the index drawn. Takes one double. cdf is scratch of the same length. Weights are
  // non-negative integers below 2^53 in total (their sum is exact in any order); CHECKs that the sum is positive.
  int64_t choice(std::span<const double> weights, std::span<double> cdf);
  // choice(len(p), size=count, replace=False, p=p), in the order drawn. CHECKs that `count` entries of p are positive.
  std::vector<int32_t> choose(std::span<const double> p, int64_t count);
  // binomial(n, p), n >= 0, 0 <= p <= 1.
  int64_t binomial(int64_t n, double p);
  // multinomial(n, p): [len(p)], sum n.
  std::vector<int64_t> multinomial(int64_t n, std::span<const double> p);

 private:
  void step();
  int64_t binomial_inversion(int64_t n, double p);
  int64_t binomial_btpe(int64_t n, double p);

  unsigned __int128 state_ = 0, increment_ = 0;
  bool has_half_ = false;
  uint32_t half_ = 0;
};

// numpy.sum of contiguous doubles: pairwise over blocks of eight running sums, so not the sequential sum's last bit.
double numpy_sum(std::span<const double> values);

}  // namespace sixteen
