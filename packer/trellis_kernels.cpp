// See trellis_kernels.h. Compiled once per instruction set.
//
// A state's two predecessors differ in the parity alone: with h its top bit, they are 2 i + h for i = i0 and i = i0 ^ input, where i0 is
// what is left of the state without feedback. So the sums of even and of odd states lie apart, an addition of one cost serves
// sixteen states, and XOR by a constant is a fixed order of vectors and of the lanes in them.
#include "packer/trellis_kernels.h"

#include "graph/cpu/simd.h"

namespace sixteen::cpu::SIXTEEN_ISA {
namespace {

// One register: wider vectors would be shuffled lane by lane.
#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX2__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif
typedef float Floats __attribute__((vector_size(4 * kWidth)));
typedef int32_t Signs __attribute__((vector_size(4 * kWidth)));

constexpr int kVectors = kTrellisStates / 2 / kWidth;  // of the even states, and of the odd ones
constexpr int kParts = 16 / kWidth;                    // vectors that 16 words of decisions take
constexpr float kNoPath = 1e30f;
constexpr int64_t kRowsBetween = 64;  // after so many the least sum is taken off all
static_assert(kTrellisWords == 16 && kTrellisStates / 16 <= 32);

// Lane i of the result is lane i ^ n of x.
template <int n>
Floats exchanged(Floats x) {
#if defined(__AVX512F__)
  return __builtin_shufflevector(x, x, 0 ^ n, 1 ^ n, 2 ^ n, 3 ^ n, 4 ^ n, 5 ^ n, 6 ^ n, 7 ^ n, 8 ^ n, 9 ^ n, 10 ^ n,
                                 11 ^ n, 12 ^ n, 13 ^ n, 14 ^ n, 15 ^ n);
#elif defined(__AVX2__)
  return __builtin_shufflevector(x, x, 0 ^ n, 1 ^ n, 2 ^ n, 3 ^ n, 4 ^ n, 5 ^ n, 6 ^ n, 7 ^ n);
#else
  return __builtin_shufflevector(x, x, 0 ^ n, 1 ^ n, 2 ^ n, 3 ^ n);
#endif
}

// The lanes of a and b in turn: even ones, odd ones.
void deal(Floats a, Floats b, Floats* even, Floats* odd) {
#if defined(__AVX512F__)
  *even = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  *odd = __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#elif defined(__AVX2__)
  *even = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
  *odd = __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
#else
  *even = __builtin_shufflevector(a, b, 0, 2, 4, 6);
  *odd = __builtin_shufflevector(a, b, 1, 3, 5, 7);
#endif
}

// Vector v of sums whose index is XORed by `by`.
template <int by>
Floats exchanged(const Floats* sums, int v) {
  return exchanged<by % kWidth>(sums[v ^ by / kWidth]);
}

Floats all(float x) { return Floats{} + x; }

// The states of vector v of those with the top bit h.
template <int h>
Floats cheaper(const Floats* sums, int v, Floats even_cost, Floats odd_cost, Signs* decided) {
  constexpr int kEven = h == 0 ? 0 : kTrellisFeedback & (kTrellisStates / 2 - 1);
  const Floats even = exchanged<kEven>(sums, v) + even_cost, odd = exchanged<kEven ^ kTrellisInput>(sums, v) + odd_cost;
  const Signs is_odd = odd < even;
  const int state_vector = h * kVectors + v;
  decided[state_vector % kParts] |= is_odd & int32_t(1u << (state_vector / kParts));
  return is_odd ? odd : even;
}

float least_of(const Floats* even, const Floats* odd) {
  Floats least = even[0];
  for (int v = 0; v < kVectors; ++v) {
    least = even[v] < least ? even[v] : least;
    least = odd[v] < least ? odd[v] : least;
  }
  float result = least[0];
  for (int i = 1; i < kWidth; ++i) result = least[i] < result ? least[i] : result;
  return result;
}

void search(const float* costs, int64_t rows, uint32_t* decisions, float* sums) {
  Floats even[kVectors], odd[kVectors], next_even[kVectors], next_odd[kVectors];
  for (int v = 0; v < kVectors; ++v) even[v] = odd[v] = all(kNoPath);
  even[0][0] = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const float* cost = costs + 4 * r;
    const Floats costs_0 = all(cost[0]), costs_1 = all(cost[1]), costs_2 = all(cost[2]), costs_3 = all(cost[3]);
    Signs decided[kParts] = {};
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; v += 2) {
      const Floats a = cheaper<0>(even, v, costs_0, costs_1, decided),
                   b = cheaper<0>(even, v + 1, costs_0, costs_1, decided);
      deal(a, b, &next_even[v / 2], &next_odd[v / 2]);
      const Floats c = cheaper<1>(odd, v, costs_2, costs_3, decided),
                   d = cheaper<1>(odd, v + 1, costs_2, costs_3, decided);
      deal(c, d, &next_even[kVectors / 2 + v / 2], &next_odd[kVectors / 2 + v / 2]);
    }
    __builtin_memcpy(decisions + r * kTrellisWords, decided, sizeof decided);
    const Floats taken = all((r + 1) % kRowsBetween == 0 ? least_of(next_even, next_odd) : 0.0f);
    for (int v = 0; v < kVectors; ++v) even[v] = next_even[v] - taken, odd[v] = next_odd[v] - taken;
  }
  for (int s = 0; s < kTrellisStates; ++s) sums[s] = (s % 2 == 0 ? even : odd)[s / 2 / kWidth][s / 2 % kWidth];
}

constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, ties to even; up to 2^22
constexpr float kFarthest = 65536.0f;    // in steps; such targets are cut off anyway

template <int h, int p>
void choice(Lanes<float> place, Lanes<float> weight, float limit, int64_t left, int8_t* codes, float* costs) {
  const float shift = h / 2.0f, most = p == 1 ? limit : limit - 1;
  const Lanes<float> half = (place + Lanes<float>::all(shift - p)) * Lanes<float>::all(0.5f);
  const Lanes<float> rounded = (half + Lanes<float>::all(kRounder)) - Lanes<float>::all(kRounder);
  const Lanes<float> code =
      max(min(rounded + rounded + Lanes<float>::all(float(p)), Lanes<float>::all(most)), Lanes<float>::all(-most));
  const Lanes<float> error = place - (code - Lanes<float>::all(shift));
  float code_of[kLanes], cost_of[kLanes];
  code.store(code_of);
  (weight * (error * error)).store(cost_of);
  for (int64_t i = 0; i < kLanes && i < left; ++i) {
    codes[i] = int8_t(code_of[i]);
    costs[4 * i + 2 * h + p] = cost_of[i];
  }
}

void choices(const float* targets, const float* scales, const float* weights, int64_t rows, float limit, int8_t* codes,
             float* costs) {
  const Lanes<float> most = Lanes<float>::all(kFarthest);
  for (int64_t r = 0; r < rows; r += kLanes) {
    const int64_t left = rows - r;
    const Lanes<float> scale =
        select(first<float>(left), Lanes<float>::load(scales + r, left), Lanes<float>::all(1.0f));
    const Lanes<float> place = max(min(Lanes<float>::load(targets + r, left) / scale, most), -most);
    const Lanes<float> weight = Lanes<float>::load(weights + r, left);
    choice<0, 0>(place, weight, limit, left, codes + r, costs + 4 * r);
    choice<0, 1>(place, weight, limit, left, codes + rows + r, costs + 4 * r);
    choice<1, 0>(place, weight, limit, left, codes + 2 * rows + r, costs + 4 * r);
    choice<1, 1>(place, weight, limit, left, codes + 3 * rows + r, costs + 4 * r);
  }
}

}  // namespace

const TrellisKernels& trellis_kernels() {
  static constexpr TrellisKernels table = {choices, search};
  return table;
}

}  // namespace sixteen::cpu::SIXTEEN_ISA
