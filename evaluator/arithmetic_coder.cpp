// See arithmetic_coder.h.
#include "evaluator/arithmetic_coder.h"

#include <algorithm>
#include <cmath>

#include "formats/check.h"
#include "formats/error.h"
#include "model/portable_math.h"

namespace sixteen {
namespace {

constexpr uint64_t kTotal = uint64_t{1} << kFrequencyBits;
constexpr uint64_t kSmallestRange = uint64_t{1} << 56;

}  // namespace

void Frequencies::set(std::span<const float> logits) {
  const size_t vocab = logits.size();
  CHECK(vocab >= 2 && vocab <= 65536);
  const size_t likeliest = static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  const double highest = logits[likeliest];
  weights_.resize(vocab);
  counts_.resize(vocab);
  for (size_t i = 0; i < vocab; ++i) weights_[i] = portable_exp(logits[i] - highest);
  sum_ = 0;
  for (const double weight : weights_) sum_ += weight;
  if (!std::isfinite(sum_)) fail("the model's logits are not finite: the weights overflow; was the training run sound?");
  const double scale = static_cast<double>(kTotal - vocab) / sum_;
  uint64_t total = 0;
  for (size_t i = 0; i < vocab; ++i) {
    counts_[i] = 1 + static_cast<uint32_t>(weights_[i] * scale);
    total += counts_[i];
  }
  counts_[likeliest] += static_cast<uint32_t>(kTotal - total);  // modulo 2^32, should roundings make it negative
}

uint64_t Frequencies::below(int32_t symbol) const {
  uint64_t sum = 0;
  for (int32_t i = 0; i < symbol; ++i) sum += counts_[static_cast<size_t>(i)];
  return sum;
}

int32_t Frequencies::find(uint64_t count, uint64_t* below) const {
  CHECK(count < kTotal);
  uint64_t sum = 0;
  size_t symbol = 0;
  while (symbol + 1 < counts_.size() && sum + counts_[symbol] <= count) sum += counts_[symbol++];
  *below = sum;
  return static_cast<int32_t>(symbol);
}

double Frequencies::nats(int32_t symbol) const {
  return std::log(sum_ / std::max(weights_[static_cast<size_t>(symbol)], 0x1p-1010));  // one that underflowed
}

void ArithmeticEncoder::emit_carry() {
  size_t i = bytes_.size();
  do {
    CHECK(i > 0);
    --i;
    bytes_[i] = static_cast<std::byte>(static_cast<uint8_t>(bytes_[i]) + 1);
  } while (bytes_[i] == std::byte{0});
}

void ArithmeticEncoder::encode(uint64_t below, uint64_t count) {
  CHECK(count >= 1 && below + count <= kTotal);
  const uint64_t unit = range_ >> kFrequencyBits, before = low_;
  low_ += unit * below;
  if (low_ < before) emit_carry();
  range_ = unit * count;
  while (range_ < kSmallestRange) {
    bytes_.push_back(static_cast<std::byte>(low_ >> 56));
    low_ <<= 8;
    range_ <<= 8;
  }
}

Bytes ArithmeticEncoder::finish() {
  // The range has a multiple of 2^56: one byte says which.
  const uint64_t rounded = (low_ + (kSmallestRange - 1)) & ~(kSmallestRange - 1);
  if (rounded < low_) emit_carry();
  bytes_.push_back(static_cast<std::byte>(rounded >> 56));
  while (!bytes_.empty() && bytes_.back() == std::byte{0}) bytes_.pop_back();
  return std::move(bytes_);
}

ArithmeticDecoder::ArithmeticDecoder(std::span<const std::byte> code) : code_(code) {
  for (int i = 0; i < 8; ++i) value_ = value_ << 8 | next();
}

uint8_t ArithmeticDecoder::next() {
  const size_t at = read_++;
  return at < code_.size() ? static_cast<uint8_t>(code_[at]) : uint8_t{0};
}

uint64_t ArithmeticDecoder::peek() { return std::min(value_ / (range_ >> kFrequencyBits), kTotal - 1); }

void ArithmeticDecoder::consume(uint64_t below, uint64_t count) {
  const uint64_t unit = range_ >> kFrequencyBits;
  value_ -= unit * below;
  range_ = unit * count;
  while (range_ < kSmallestRange) {
    value_ = value_ << 8 | next();
    range_ <<= 8;
  }
}

bool ArithmeticDecoder::finished() const { return code_.size() + 7 <= read_; }

}  // namespace sixteen
