// See exact_sum.h. The integer of 320 bits lies in limbs of 32 bits, lowest first, in units of 2^-149.
#include "evaluator/exact_sum.h"

#include <bit>
#include <cmath>

#include "formats/check.h"

namespace sixteen {
namespace {

constexpr int kLimbs = 12;
using Limbs = std::array<int64_t, kLimbs>;

// Every limb but the last to [0, 2^32).
void carry(Limbs* limbs) {
  for (int i = 0; i + 1 < kLimbs; ++i) {
    (*limbs)[i + 1] += (*limbs)[i] >> 32;
    (*limbs)[i] &= 0xffffffff;
  }
}

}  // namespace

void ExactSum::add(std::span<const float> terms) {
  for (const float term : terms) {
    const uint32_t bits = std::bit_cast<uint32_t>(term);
    const uint32_t exponent = bits >> 23 & 0xff;
    CHECK(exponent != 0xff);
    const int64_t mantissa = static_cast<int64_t>((bits & 0x7fffff) | (exponent == 0 ? 0 : 0x800000));
    mantissas_[exponent] += (bits >> 31) != 0 ? -mantissa : mantissa;
  }
}

double ExactSum::value() const {
  Limbs limbs{};
  for (size_t exponent = 0; exponent < mantissas_.size(); ++exponent) {
    const int shift = exponent == 0 ? 0 : static_cast<int>(exponent) - 1;  // subnormals have exponent 1's unit
    const __int128 wide = static_cast<__int128>(mantissas_[exponent]) << (shift % 32);
    int64_t* at = &limbs[static_cast<size_t>(shift / 32)];
    at[0] += static_cast<int64_t>(wide & 0xffffffff);
    at[1] += static_cast<int64_t>(wide >> 32 & 0xffffffff);
    at[2] += static_cast<int64_t>(wide >> 64);
  }
  carry(&limbs);
  const bool negative = limbs.back() < 0;
  if (negative) {
    for (int64_t& limb : limbs) limb = -limb;
    carry(&limbs);
  }
  int top = kLimbs - 1;
  while (top > 0 && limbs[top] == 0) --top;
  // The three highest limbs hold at least 65 bits of the value or all of it; lower ones only decide ties.
  const int low = top >= 2 ? top - 2 : 0;
  unsigned __int128 high = 0;
  for (int i = top; i >= low; --i) high = high << 32 | static_cast<uint64_t>(limbs[i]);
  int exponent = 32 * low - 149;
  bool sticky = false;
  for (int i = 0; i < low; ++i) sticky = sticky || limbs[i] != 0;
  while (high >> 63 != 0) {  // to 63 bits, so that rounding to 53 is the conversion's
    sticky = sticky || (high & 1) != 0;
    high >>= 1;
    ++exponent;
  }
  const double magnitude = std::ldexp(static_cast<double>(static_cast<uint64_t>(high) | (sticky ? 1u : 0u)), exponent);
  return negative ? -magnitude : magnitude;
}

}  // namespace sixteen
