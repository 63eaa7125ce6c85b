// See numpy_random.h. Constants and order of operations: NumPy's _bit_generator.pyx, pcg64.h, distributions.c.
#include "model/numpy_random.h"

#include <array>
#include <bit>
#include <numeric>
#include <utility>

#include "formats/check.h"

namespace sixteen {
namespace {

constexpr int kPoolWords = 4;
constexpr unsigned __int128 kMultiplier =
    (static_cast<unsigned __int128>(2549297995355413924ULL) << 64) | 4865540595714422341ULL;

// SeedSequence(seed).generate_state(4, uint64)
std::array<uint64_t, 4> seed_state(uint64_t seed) {
  uint32_t hash = 0x43b0d7e5u;
  auto hashmix = [&hash](uint32_t value) {
    value ^= hash;
    hash *= 0x931e8875u;
    value *= hash;
    return value ^ (value >> 16);
  };
  auto mix = [](uint32_t x, uint32_t y) {
    const uint32_t t = 0xca01f9ddu * x - 0x4973f715u * y;
    return t ^ (t >> 16);
  };
  std::array<uint32_t, kPoolWords> pool{};
  const std::array<uint32_t, kPoolWords> entropy = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32), 0,
                                                    0};
  for (int i = 0; i < kPoolWords; ++i) pool[i] = hashmix(entropy[i]);
  for (int source = 0; source < kPoolWords; ++source) {
    for (int target = 0; target < kPoolWords; ++target) {
      if (source != target) pool[target] = mix(pool[target], hashmix(pool[source]));
    }
  }
  hash = 0x8b51f9ddu;
  std::array<uint64_t, 4> state{};
  for (int i = 0; i < 8; ++i) {
    uint32_t value = pool[i % kPoolWords] ^ hash;
    hash *= 0x58f38dedu;
    value *= hash;
    value ^= value >> 16;
    state[i / 2] |= static_cast<uint64_t>(value) << (32 * (i % 2));
  }
  return state;
}

}  // namespace

NumpyRandom::NumpyRandom(uint64_t seed) {
  const std::array<uint64_t, 4> words = seed_state(seed);
  const unsigned __int128 initial = (static_cast<unsigned __int128>(words[0]) << 64) | words[1];
  const unsigned __int128 sequence = (static_cast<unsigned __int128>(words[2]) << 64) | words[3];
  increment_ = (sequence << 1) | 1;
  step();
  state_ += initial;
  step();
}

void NumpyRandom::step() { state_ = state_ * kMultiplier + increment_; }

uint64_t NumpyRandom::next64() {
  step();
  const auto high = static_cast<uint64_t>(state_ >> 64), low = static_cast<uint64_t>(state_);
  return std::rotr(high ^ low, static_cast<int>(high >> 58));
}

uint32_t NumpyRandom::next32() {
  if (has_half_) {
    has_half_ = false;
    return half_;
  }
  const uint64_t both = next64();
  has_half_ = true;
  half_ = static_cast<uint32_t>(both >> 32);
  return static_cast<uint32_t>(both);
}

double NumpyRandom::next_double() { return static_cast<double>(next64() >> 11) * 0x1p-53; }

uint32_t NumpyRandom::integers(uint32_t n) {
  CHECK(n > 0);
  if (n == 1) return 0;
  uint64_t product = static_cast<uint64_t>(next32()) * n;
  const uint32_t threshold = (0u - n) % n;  // 2^32 mod n
  while (static_cast<uint32_t>(product) < threshold) product = static_cast<uint64_t>(next32()) * n;
  return static_cast<uint32_t>(product >> 32);
}

void NumpyRandom::permutation(std::span<int32_t> values) {
  std::iota(values.begin(), values.end(), 0);
  for (size_t i = values.size(); i-- > 1;) {
    const uint32_t mask = (1u << std::bit_width(i)) - 1;
    uint32_t j = next32() & mask;
    while (j > i) j = next32() & mask;
    std::swap(values[i], values[j]);
  }
}

int64_t NumpyRandom::choice(std::span<const double> weights, std::span<double> cdf) {
  CHECK(weights.size() == cdf.size());
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  CHECK(sum > 0);
  double running = 0;
  for (size_t i = 0; i < weights.size(); ++i) cdf[i] = running += weights[i] / sum;
  const double draw = next_double();
  // NumPy divides the whole cdf by its last entry before it searches; a division apiece keeps its rounding.
  for (size_t i = 0; i < cdf.size(); ++i) {
    if (cdf[i] / running > draw) return static_cast<int64_t>(i);
  }
  CHECK(false);  // the last quotient is exactly 1 and the draw is below 1
  return 0;
}

}  // namespace sixteen
