// A binary range coder: a string of bits, each with a 16-bit probability, becomes as many bytes as they carry information.
//
// The range is 64 bits wide and renormalised by 32 bits at a time when it falls below 2^32, so that a bit costs less than
// 2^-15 of itself more than -log2 of its probability. Source: G. N. N. Martin, "Range encoding", 1979, with the carry added
// to words that are already out. docs/FORMATS.md 6.1 has it step by step.
//
// Bites: trailing zero bytes are left out, so a decoder reads zeros behind the end; a damaged code decodes to other bits,
// never to an error by itself. Its owner knows how many bits there are and asks at_end() after the last.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/codec.h"

namespace sixteen {

constexpr int kProbabilityBits = 16;

// uncounted: begin
class RangeEncoder {
 public:
  static constexpr bool kDecodes = false;

  // one: probability of `bit` being 1, of 65536; 1 to 65535. Returns `bit`.
  int code(uint32_t one, int bit) {
    const uint64_t split = (range_ >> kProbabilityBits) * one;
    if (bit != 0) {
      range_ = split;
    } else {
      low_ += split;
      if (low_ < split) carry();
      range_ -= split;
    }
    if (range_ >> 32 == 0) emit();
    return bit;
  }

  // The code's bytes; nothing can be coded after.
  Bytes finish() {
    // Of the numbers in [low, low + range) the one with the most zeros at its end.
    for (int zeros = 63; zeros >= 0; --zeros) {
      const uint64_t mask = (uint64_t{1} << zeros) - 1;
      const uint64_t rounded = (low_ + mask) & ~mask;
      const bool wrapped = rounded < low_;
      if (rounded - low_ >= range_) continue;  // modulo 2^64, as the carry
      if (wrapped) carry();
      low_ = rounded;
      break;
    }
    range_ = 0;
    emit();
    emit();
    while (!bytes_.empty() && bytes_.back() == std::byte{0}) bytes_.pop_back();
    return std::move(bytes_);
  }

 private:
  void carry() {
    for (size_t i = bytes_.size(); i-- > 0;) {
      bytes_[i] = static_cast<std::byte>(static_cast<uint8_t>(bytes_[i]) + 1);
      if (bytes_[i] != std::byte{0}) return;
    }
  }
  void emit() {
    for (int shift = 56; shift >= 32; shift -= 8) bytes_.push_back(static_cast<std::byte>(low_ >> shift));
    low_ <<= 32;
    range_ <<= 32;
  }

  Bytes bytes_;
  uint64_t low_ = 0, range_ = ~uint64_t{0};
};

// uncounted: end
class RangeDecoder {
 public:
  static constexpr bool kDecodes = true;

  // `coded` must outlive it.
  explicit RangeDecoder(std::span<const std::byte> coded) : coded_(coded) {
    value_ = next_word();
    value_ = value_ << 32 | next_word();
  }

  // The same probability as in encoding; the second argument is for the common shape and ignored.
  int code(uint32_t one, int) {
    const uint64_t split = (range_ >> kProbabilityBits) * one;
    const int bit = value_ < split ? 1 : 0;
    if (bit != 0) {
      range_ = split;
    } else {
      value_ -= split;
      range_ -= split;
    }
    if (range_ >> 32 == 0) {
      range_ <<= 32;
      value_ = value_ << 32 | next_word();
    }
    return bit;
  }

  // After the last bit: whether the code has no byte that was not needed to decode, and no zero at its end.
  bool at_end() const { return position_ >= coded_.size() && (coded_.empty() || coded_.back() != std::byte{0}); }

 private:
  uint64_t next_word() {
    uint64_t word = 0;
    for (int i = 0; i < 4; ++i, ++position_) {
      word = word << 8 | (position_ < coded_.size() ? static_cast<uint64_t>(coded_[position_]) : 0);
    }
    return word;
  }

  std::span<const std::byte> coded_;
  size_t position_ = 0;
  uint64_t value_ = 0, range_ = ~uint64_t{0};
};

}  // namespace sixteen
