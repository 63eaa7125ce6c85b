// Probabilities of bits that learn from the bits before them, and their mixture: the arithmetic of our own codecs.
//
// A BitCounter is one adaptive probability. A mixer adds the log-odds of several, each with a weight, and turns the sum back
// into a probability; after each bit the weights move along the gradient of its cost. Sources: M. Mahoney, "Adaptive
// weighing of context models for lossless data compression", 2005 (PAQ's logistic mixing); docs/FORMATS.md 6.1.
//
// Bites: integers alone, shifts of negative numbers round down. Every constant here is part of the format: changing one
// changes what a coded stream means.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace sixteen {

constexpr int kLogitLimit = 2047;    // log-odds in 1/256, so +-8
constexpr uint32_t kLeastOne = 256;  // of 65536: no bit is coded below this probability, so a byte gives at most 1,418
constexpr uint32_t kMostOne = 65536 - kLeastOne;

// squash: log-odds + 2048 -> probability of 65536. stretch: probability / 16 -> log-odds, its inverse.
struct LogitTables {
  std::array<uint16_t, 4096> squash;
  std::array<int16_t, 4096> stretch;
};
const LogitTables& logit_tables();

// 65536 / (n + 1.5), rounded down: how far a probability moves after its n-th bit.
const std::array<uint32_t, 1024>& counter_rates();

// An adaptive probability (22 bits) and how many bits it has seen (10 bits, up to a limit that sets its slowest pace).
class BitCounter {
 public:
  BitCounter() = default;
  // one: of 65536. seen: how many bits that is worth.
  BitCounter(uint32_t one, uint32_t seen) : state_(std::clamp(one, 16u, 65520u) << 16 | seen) {}

  uint32_t one() const { return state_ >> 16; }  // of 65536
  void update(int bit, uint32_t limit, const std::array<uint32_t, 1024>& rates) {
    const uint32_t seen = state_ & 1023;
    const int32_t p = static_cast<int32_t>(state_ >> 10);
    const int64_t gap = (bit << 22) - bit - p;
    const int32_t moved = p + static_cast<int32_t>(gap * rates[seen] >> 16);
    state_ = static_cast<uint32_t>(moved) << 10 | (seen < limit ? seen + 1 : limit);
  }

 private:
  uint32_t state_ = uint32_t{32768} << 16;
};

}  // namespace sixteen
