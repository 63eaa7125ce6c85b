// Norm, rotation and gain of one head's row, and the removal of its own value direction (head_norm_kernels.h).
//
// Bites: see isa.h for what a source that is compiled thrice must not use.
#include "graph/cpu/head_norm_kernels.h"

#include "graph/cpu/each_lanes.h"

namespace sixteen::cpu::SIXTEEN_ISA {
namespace {

constexpr double kXsaEps = 1e-12;  // the records' F.normalize

template <class T>
T dot(const T* a, const T* b, int64_t n) {
  using V = Lanes<T>;
  V total = V::zero();
  each_lanes(n, [&](int64_t i, int64_t m) { total = fma(V::load(a + i, m), V::load(b + i, m), total); });
  return sum(total);
}

template <class T>
T square_root(T x) {
  return max_lane(sqrt(Lanes<T>::all(x)));
}

// The rotation of position `row` mod seq.
template <class T>
struct Rotation {
  const T *cos, *sin;
  int64_t half;

  Rotation(const HeadNormArguments<T>& a, int64_t row)
      : cos(a.cos + row % a.shape.seq * a.shape.rope_half),
        sin(a.sin + row % a.shape.seq * a.shape.rope_half),
        half(a.shape.rope_half) {}
};

// f(value, i, n) for every lane group of rope(x) or, transposed, of the rotation back. Half layout: (a, b) -> (a cos +
// b sin, b cos - a sin); what lies beyond the rotated dims passes.
template <bool kTransposed, class T, class F>
inline __attribute__((always_inline)) void rotated(const T* x, const Rotation<T>& r, int64_t dh, F f) {
  using V = Lanes<T>;
  each_lanes(r.half, [&](int64_t i, int64_t n) {
    const V a = V::load(x + i, n), b = V::load(x + r.half + i, n), c = V::load(r.cos + i, n),
            s0 = V::load(r.sin + i, n);
    const V s = kTransposed ? -s0 : s0;
    f(fma(a, c, b * s), i, n);
    f(fnma(a, s, b * c), r.half + i, n);
  });
  const int64_t rest = 2 * r.half;
  each_lanes(dh - rest, [&](int64_t i, int64_t n) { f(V::load(x + rest + i, n), rest + i, n); });
}

template <class T>
void norm(const HeadNormArguments<T>& a, T* y, int64_t begin, int64_t end) {
  const int64_t dh = a.shape.head_dim, heads = a.shape.heads;
  for (int64_t row = begin; row < end; ++row) {
    const Rotation<T> rotation(a, row);
    for (int64_t h = 0; h < heads; ++h) {
      const T* x = a.x + (row * heads + h) * dh;
      T* out = y + (row * heads + h) * dh;
      const T factor = (a.gain != nullptr ? a.gain[h] : T(1)) / square_root(dot(x, x, dh) / T(dh) + a.eps);
      rotated<false>(x, rotation, dh,
                     [&](Lanes<T> value, int64_t i, int64_t n) { (value * Lanes<T>::all(factor)).store(out + i, n); });
    }
  }
}

// With r = 1 / rms and t = dy rotated back: y = gain rope(r x), so dx = gain r (t - x r^2 (x . t) / dh), dgain = r x .
// t.
template <class T>
void norm_grad(const HeadNormArguments<T>& a, const T* dy, T* dx, bool add, T* sums, int64_t begin, int64_t end) {
  using V = Lanes<T>;
  const int64_t dh = a.shape.head_dim, heads = a.shape.heads;
  for (int64_t row = begin; row < end; ++row) {
    const Rotation<T> rotation(a, row);
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t at = (row * heads + h) * dh;
      const T* x = a.x + at;
      V total = V::zero();
      rotated<true>(dy + at, rotation, dh,
                    [&](V t, int64_t i, int64_t n) { total = fma(t, V::load(x + i, n), total); });
      const T inverse = T(1) / square_root(dot(x, x, dh) / T(dh) + a.eps), along = sum(total) * inverse;
      sums[h] += along;
      const V factor = V::all((a.gain != nullptr ? a.gain[h] : T(1)) * inverse), back = V::all(along * inverse / T(dh));
      rotated<true>(dy + at, rotation, dh, [&](V t, int64_t i, int64_t n) {
        put(factor * fnma(back, V::load(x + i, n), t), dx + at + i, add, n);
      });
    }
  }
}

template <class T>
T larger(T a, T b) {
  return a > b ? a : b;
}

template <class T>
void xsa(const T* y, const T* v, T* out, int64_t group, int64_t head_dim, int64_t begin, int64_t end) {
  using V = Lanes<T>;
  for (int64_t g = begin; g < end; ++g) {
    const T* value = v + g * head_dim;
    const T inverse = T(1) / larger(square_root(dot(value, value, head_dim)), T(kXsaEps));
    for (int64_t h = g * group; h < (g + 1) * group; ++h) {
      const T* in = y + h * head_dim;
      const V factor = V::all(dot(in, value, head_dim) * inverse * inverse);
      each_lanes(head_dim, [&](int64_t i, int64_t n) {
        fnma(factor, V::load(value + i, n), V::load(in + i, n)).store(out + h * head_dim + i, n);
      });
    }
  }
}

// With u = v / |v|: dy = do - (do . u) u; du = -sum over the group of (y . u) do + (do . u) y; dv = (du - (du . u) u) /
// |v|.
template <class T>
void xsa_grad(const T* y, const T* v, const T* dout, T* dy, bool add_dy, T* dv, bool add_dv, int64_t group,
              int64_t head_dim, T* scratch, int64_t begin, int64_t end) {
  using V = Lanes<T>;
  for (int64_t g = begin; g < end; ++g) {
    const T* value = v + g * head_dim;
    const T length = square_root(dot(value, value, head_dim)), inverse = T(1) / larger(length, T(kXsaEps));
    each_lanes(head_dim, [&](int64_t i, int64_t n) { V::zero().store(scratch + i, n); });
    for (int64_t h = g * group; h < (g + 1) * group; ++h) {
      const T *in = y + h * head_dim, *d = dout + h * head_dim;
      const T along_d = dot(d, value, head_dim) * inverse;
      const V vd = V::all(along_d), vy = V::all(dot(in, value, head_dim) * inverse), back = V::all(along_d * inverse);
      each_lanes(head_dim, [&](int64_t i, int64_t n) {
        const V x = V::load(in + i, n), t = V::load(d + i, n);
        fnma(vd, x, fnma(vy, t, V::load(scratch + i, n))).store(scratch + i, n);
        put(fnma(back, V::load(value + i, n), t), dy + h * head_dim + i, add_dy, n);
      });
    }
    // Below the bound |v| is a constant there, so nothing is taken off along v.
    const T along = length > T(kXsaEps) ? dot(scratch, value, head_dim) * inverse * inverse : T(0);
    const V back = V::all(along), factor = V::all(inverse);
    each_lanes(head_dim, [&](int64_t i, int64_t n) {
      put(factor * fnma(back, V::load(value + i, n), V::load(scratch + i, n)), dv + g * head_dim + i, add_dv, n);
    });
  }
}

template <class T>
constexpr HeadNormFunctions<T> functions() {
  return {norm<T>, norm_grad<T>, xsa<T>, xsa_grad<T>};
}

}  // namespace

const HeadNormKernels& head_norm_kernels() {
  static constexpr HeadNormKernels table = {functions<float>(), functions<double>()};
  return table;
}

}  // namespace sixteen::cpu::SIXTEEN_ISA
