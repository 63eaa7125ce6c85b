// Softcap, log-sum-exp and its gradient over rows of logits (loss_kernels.h).
//
// Bites: see isa.h for what a source that is compiled thrice must not use.
#include "graph/cpu/loss_kernels.h"

#include "graph/cpu/each_lanes.h"
#include "graph/cpu/vecmath.h"
#include "graph/cpu/weight_exp2.h"

namespace sixteen::cpu::SIXTEEN_ISA {
namespace {

template <class T>
Lanes<T> capped(Lanes<T> z, T cap) {
  return cap > 0 ? Lanes<T>::all(cap) * tanh(z * Lanes<T>::all(1 / cap)) : z;
}

// d capped / dz, from the capped value.
template <class T>
Lanes<T> slope(Lanes<T> y, T cap) {
  if (!(cap > 0)) return Lanes<T>::all(T(1));
  const Lanes<T> t = y * Lanes<T>::all(1 / cap);
  return fnma(t, t, Lanes<T>::all(T(1)));
}

template <class T>
void softcap(const T* z, T* y, T cap, int64_t count) {
  each_lanes(count, [&](int64_t i, int64_t n) { capped(Lanes<T>::load(z + i, n), cap).store(y + i, n); });
}

template <class T>
void softcap_grad(const T* z, const T* dy, T* dz, bool add, T cap, int64_t count) {
  using V = Lanes<T>;
  each_lanes(count, [&](int64_t i, int64_t n) {
    V d = V::load(dy + i, n) * slope(capped(V::load(z + i, n), cap), cap);
    if (add) d = V::load(dz + i, n) + d;
    d.store(dz + i, n);
  });
}

// To the nearest bf16, ties to even; NaN stays NaN, infinities stay.
Lanes<float> bf16_rounded(Lanes<float> x) {
  const Ints b = bits(x);
  const Ints odd = shift_right<16>(b) & Ints::all(1);
  const Lanes<float> rounded = from_bits((b + odd + Ints::all(0x7fff)) & Ints::all(static_cast<int32_t>(0xffff0000u)));
  return select(x == x, rounded, x);
}
Lanes<double> bf16_rounded(Lanes<double> x) {
  for (double& lane : x.v) {
    const float f = static_cast<float>(lane);
    const uint32_t b = __builtin_bit_cast(uint32_t, f);
    if (f == f) lane = __builtin_bit_cast(float, (b + (b >> 16 & 1u) + 0x7fffu) & 0xffff0000u);
  }
  return x;
}

// z -> capped logits; returns their maximum.
template <class T>
T cap_row(T* z, int64_t vocab, T cap, bool round_bf16) {
  using V = Lanes<T>;
  const V lowest = V::all(-__builtin_inff());
  V highest = lowest;
  each_lanes(vocab, [&](int64_t i, int64_t n) {
    V y = capped(V::load(z + i, n), cap);
    if (round_bf16) y = bf16_rounded(y);
    y.store(z + i, n);
    highest = max(n < kLanes ? select(first<T>(n), y, lowest) : y, highest);
  });
  return max_lane(highest);
}

// exp(y - highest) for lanes below n, 0 beyond.
template <class T>
Lanes<T> weights(Lanes<T> y, T highest, int64_t n) {
  const Lanes<T> w = weight_exp2((y - Lanes<T>::all(highest)) * Lanes<T>::all(T(kLog2E)));
  return n < kLanes ? select(first<T>(n), w, Lanes<T>::zero()) : w;
}

template <class T>
T log_of(T x) {
  return max_lane(log(Lanes<T>::all(x)));
}

template <class T>
T nll_row(T* z, int64_t vocab, int64_t target, T cap, bool round_bf16) {
  using V = Lanes<T>;
  const T highest = cap_row(z, vocab, cap, round_bf16);
  V total = V::zero();
  each_lanes(vocab, [&](int64_t i, int64_t n) { total = total + weights(V::load(z + i, n), highest, n); });
  return log_of(sum(total)) + (highest - z[target]);
}

template <class T>
void hint_row(T* z, int64_t vocab, int64_t target, int64_t hint, T cap, bool round_bf16, T* stats) {
  using V = Lanes<T>;
  const T highest = cap_row(z, vocab, cap, round_bf16);
  V total = V::zero(), weighted = V::zero();
  each_lanes(vocab, [&](int64_t i, int64_t n) {
    const V y = V::load(z + i, n), w = weights(y, highest, n), wy = w * (y - V::all(highest));
    total = total + w;
    weighted = weighted + (n < kLanes ? select(first<T>(n), wy, V::zero()) : wy);
  });
  const T norm = sum(total), log_norm = log_of(norm);
  stats[0] = log_norm + (highest - z[target]);
  stats[1] = hint < 0 ? T(0) : log_norm + (highest - z[hint]);
  stats[2] = log_norm - sum(weighted) / norm;
  int64_t rank = 0;
  for (int64_t i = 0; hint >= 0 && i < vocab; ++i) rank += z[i] > z[hint] || (z[i] == z[hint] && i < hint);
  stats[3] = static_cast<T>(rank);
}

template <class T>
T loss_row(T* z, int64_t vocab, int64_t target, T cap, T weight) {
  using V = Lanes<T>;
  const T highest = cap_row(z, vocab, cap, false), at_target = z[target];
  V total = V::zero();
  each_lanes(vocab, [&](int64_t i, int64_t n) {
    const V y = V::load(z + i, n), w = weights(y, highest, n);
    total = total + w;
    (w * slope(y, cap)).store(z + i, n);
  });
  const T norm = sum(total);
  const V factor = V::all(weight / norm);
  each_lanes(vocab, [&](int64_t i, int64_t n) { (V::load(z + i, n) * factor).store(z + i, n); });
  z[target] -= weight * max_lane(slope(V::all(at_target), cap));
  return log_of(norm) + (highest - at_target);
}

template <class T>
constexpr LossFunctions<T> functions() {
  return {softcap<T>, softcap_grad<T>, nll_row<T>, hint_row<T>, loss_row<T>};
}

}  // namespace

const LossKernels& loss_kernels() {
  static constexpr LossKernels table = {functions<float>(), functions<double>()};
  return table;
}

}  // namespace sixteen::cpu::SIXTEEN_ISA
