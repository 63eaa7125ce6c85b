// A range coder for distributions over a vocabulary, and how fp32 logits become the integer frequencies that drive it: the same
// integers on any machine that has the same logits.
//
// Frequencies of one symbol are at least 1 and add up to 2^32: a floor that costs about vocab / 2^32 of the probability. A 64-bit
// range is renormalised byte by byte at 2^56, so that range / 2^32 never has fewer than 24 bits: a symbol costs at most 2^-24 of
// a bit more than -log2(frequency / 2^32). exp is our own, of + - * and bit operations on fp64 alone, and sums go in order.
// Sources: G. N. N. Martin, "Range encoding", 1979; carries are added to bytes that are already out.
// Bites: the last bytes of a code are left out where they are 0, so a decoder reads zeros behind the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "formats/codec.h"

namespace sixteen {

constexpr int kFrequencyBits = 32;

// One distribution as integers.
class Frequencies {
 public:
  // logits: [vocab], vocab in 2 .. 65536. What the truncations leave over of 2^32 goes to the likeliest symbol (the first of
  // equals). Throws Error unless all are finite.
  void set(std::span<const float> logits);
  uint64_t of(int32_t symbol) const { return counts_[static_cast<size_t>(symbol)]; }
  uint64_t below(int32_t symbol) const;            // sum of the symbols before it
  int32_t find(uint64_t count, uint64_t* below) const;  // whose share contains `count` < 2^32
  double nats(int32_t symbol) const;               // -ln of the exact softmax: what scoring calls its loss

 private:
  std::vector<double> weights_;
  std::vector<uint32_t> counts_;
  double sum_ = 0;
};

class ArithmeticEncoder {
 public:
  void encode(uint64_t below, uint64_t count);
  // Ends the code with one byte; nothing can be encoded after.
  Bytes finish();

 private:
  void emit_carry();

  Bytes bytes_;
  uint64_t low_ = 0, range_ = ~uint64_t{0};
};

class ArithmeticDecoder {
 public:
  // The code must outlive it.
  explicit ArithmeticDecoder(std::span<const std::byte> code);
  // Where the next symbol lies, in 0 .. 2^32 - 1; then consume() with that symbol's share.
  uint64_t peek();
  void consume(uint64_t below, uint64_t count);
  // After the last symbol: whether no byte of the code is left over.
  bool finished() const;

 private:
  uint8_t next();

  std::span<const std::byte> code_;
  size_t read_ = 0;                 // bytes taken, those behind the end included
  uint64_t value_ = 0;              // of the code within the range
  uint64_t range_ = ~uint64_t{0};
};

}  // namespace sixteen
