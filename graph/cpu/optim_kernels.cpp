// The inner loops of the optimiser ops (optim_kernels.h), sixteen lanes at a time. Listed in GRAPH_ISA_SOURCES: see isa.h for
// what such a source must not use.
#include "graph/cpu/optim_kernels.h"

#include "graph/cpu/each_lanes.h"

namespace sixteen::cpu::SIXTEEN_ISA {

namespace {

// To the nearest bf16, ties to even; NaN stays NaN.
Lanes<float> to_bf16(Lanes<float> x) {
  const Ints raw = bits(x);
  const Ints odd = shift_right<16>(raw) & Ints::all(1);
  const Ints rounded = (raw + Ints::all(0x7fff) + odd) & Ints::all(static_cast<int32_t>(0xffff0000u));
  return select(x == x, from_bits(rounded), x);
}

Lanes<double> to_bf16(Lanes<double> x) {
  for (int i = 0; i < kLanes; ++i) {
    if (x.v[i] != x.v[i]) continue;
    const uint32_t raw = __builtin_bit_cast(uint32_t, static_cast<float>(x.v[i]));
    x.v[i] = __builtin_bit_cast(float, (raw + 0x7fff + (raw >> 16 & 1)) & 0xffff0000u);
  }
  return x;
}

template <class T>
Lanes<T> maybe_round(Lanes<T> x, bool round) {
  return round ? to_bf16(x) : x;
}

template <class T>
T sum_squares(const T* x, int64_t count) {
  Lanes<T> squares = Lanes<T>::zero();
  each_lanes(count, [&](int64_t i, int64_t n) {
    const Lanes<T> v = Lanes<T>::load(x + i, n);
    squares = squares + v * v;
  });
  return sum(squares);
}

template <class T>
void round_all(T* x, int64_t count) {
  each_lanes(count, [&](int64_t i, int64_t n) { to_bf16(Lanes<T>::load(x + i, n)).store(x + i, n); });
}

template <class T>
void divide(const T* x, T divisor, T* y, bool round, int64_t count) {
  const Lanes<T> d = Lanes<T>::all(divisor);
  each_lanes(count, [&](int64_t i, int64_t n) { maybe_round(Lanes<T>::load(x + i, n) / d, round).store(y + i, n); });
}

template <class T>
void combine(const T* x, T alpha, const T* y, T beta, T* out, bool round, int64_t count) {
  const Lanes<T> a = Lanes<T>::all(alpha), b = Lanes<T>::all(beta);
  each_lanes(count, [&](int64_t i, int64_t n) {
    const Lanes<T> ax = maybe_round(a * Lanes<T>::load(x + i, n), round);
    const Lanes<T> by = maybe_round(b * Lanes<T>::load(y + i, n), round);
    maybe_round(ax + by, round).store(out + i, n);
  });
}

// b = momentum b + g, u = g + momentum b with g = coefficient g; u divided by its row's norm.
template <class T>
void muon_direction(const T* g, T coefficient, T momentum, T* u, T* buffer, int64_t rows, int64_t cols, bool row_norm,
                    bool round) {
  const Lanes<T> c = Lanes<T>::all(coefficient), mu = Lanes<T>::all(momentum);
  for (int64_t row = 0; row < rows; ++row, g += cols, u += cols, buffer += cols) {
    Lanes<T> squares = Lanes<T>::zero();
    each_lanes(cols, [&](int64_t i, int64_t n) {
      const Lanes<T> gradient = maybe_round(c * Lanes<T>::load(g + i, n), round);
      const Lanes<T> b = mu * Lanes<T>::load(buffer + i, n) + gradient;
      const Lanes<T> direction = gradient + mu * b;
      squares = squares + direction * direction;
      maybe_round(b, round).store(buffer + i, n);
      maybe_round(direction, round && !row_norm).store(u + i, n);
    });
    if (!row_norm) continue;
    const T norm = lanes_detail::sqrt1(sum(squares));
    divide(u, norm < T(1e-7) ? T(1e-7) : norm, u, round, cols);
  }
}

template <class T>
void muon_apply(T* w, const T* u, T keep, T step, bool round, int64_t count) {
  const Lanes<T> k = Lanes<T>::all(keep), s = Lanes<T>::all(step);
  each_lanes(count, [&](int64_t i, int64_t n) {
    const Lanes<T> kept = maybe_round(k * Lanes<T>::load(w + i, n), round);
    maybe_round(kept - s * Lanes<T>::load(u + i, n), round).store(w + i, n);
  });
}

template <class T>
void adamw(T* p, const T* g, T* m, T* v, const AdamWStep<T>& step, int64_t count) {
  using V = Lanes<T>;
  const bool round = step.round_bf16;
  const V coefficient = V::all(*step.coefficient), eps = V::all(step.eps);
  const V keep = V::all(T(1) - *step.lr * step.weight_decay);
  const V take1 = V::all(T(1) - step.beta1), beta2 = V::all(step.beta2), take2 = V::all(T(1) - step.beta2);
  const V size = V::all(*step.lr / *step.bias1), bias2 = V::all(lanes_detail::sqrt1(*step.bias2));
  each_lanes(count, [&](int64_t i, int64_t n) {
    const V gradient = maybe_round(coefficient * V::load(g + i, n), round);
    const V first = V::load(m + i, n);
    const V new_m = first + take1 * (gradient - first);
    const V new_v = beta2 * V::load(v + i, n) + take2 * (gradient * gradient);
    const V new_p = keep * V::load(p + i, n) - size * new_m / (sqrt(new_v) / bias2 + eps);
    maybe_round(new_m, round).store(m + i, n);
    maybe_round(new_v, round).store(v + i, n);
    maybe_round(new_p, round).store(p + i, n);
  });
}

template <class T>
void sgd(T* p, const T* g, T* buffer, T coefficient, T lr, T momentum, int64_t count) {
  const Lanes<T> c = Lanes<T>::all(coefficient), rate = Lanes<T>::all(lr), beta = Lanes<T>::all(momentum);
  each_lanes(count, [&](int64_t i, int64_t n) {
    const Lanes<T> b = beta * Lanes<T>::load(buffer + i, n) + c * Lanes<T>::load(g + i, n);
    b.store(buffer + i, n);
    (Lanes<T>::load(p + i, n) - rate * b).store(p + i, n);
  });
}

template <class T>
void ema(T* e, const T* w, T decay, int64_t count) {
  const Lanes<T> keep = Lanes<T>::all(decay), take = Lanes<T>::all(T(1) - decay);
  each_lanes(count, [&](int64_t i, int64_t n) {
    (keep * Lanes<T>::load(e + i, n) + take * Lanes<T>::load(w + i, n)).store(e + i, n);
  });
}

template <class T>
constexpr OptimKernels<T> kTable = {
    sum_squares<T>, round_all<T>, divide<T>, combine<T>, muon_direction<T>, muon_apply<T>, adamw<T>, sgd<T>, ema<T>,
};

}  // namespace

const OptimKernels<float>& optim_kernels_f32() { return kTable<float>; }
const OptimKernels<double>& optim_kernels_f64() { return kTable<double>; }

}  // namespace sixteen::cpu::SIXTEEN_ISA
