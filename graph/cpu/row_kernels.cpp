// The inner loops of the row ops (row_kernels.h), sixteen lanes at a time. Listed in GRAPH_ISA_SOURCES: see isa.h for what
// such a source must not use.
#include "graph/cpu/row_kernels.h"

#include "graph/cpu/each_lanes.h"
#include "graph/cpu/vecmath.h"

namespace sixteen::cpu::SIXTEEN_ISA {

namespace {

template <class T>
void scale(const T* x, T factor, T* y, bool add, int64_t count) {
  const Lanes<T> f = Lanes<T>::all(factor);
  each_lanes(count, [&](int64_t i, int64_t n) { put(f * Lanes<T>::load(x + i, n), y + i, add, n); });
}

template <class T>
void scale_by_grad(const T* x, T factor, const T* dy, T* dx, bool add, T* sums, int64_t rows, int64_t dim) {
  const Lanes<T> f = Lanes<T>::all(factor);
  for (int64_t row = 0; row < rows; ++row, x += dim, dy += dim, dx += dim) {
    each_lanes(dim, [&](int64_t i, int64_t n) {
      const Lanes<T> g = Lanes<T>::load(dy + i, n);
      accumulate(g * Lanes<T>::load(x + i, n), sums + i, n);
      put(f * g, dx + i, add, n);
    });
  }
}

template <class T>
void add_row(const T* x, const T* row, T* y, int64_t rows, int64_t dim) {
  for (int64_t r = 0; r < rows; ++r, x += dim, y += dim) {
    each_lanes(dim, [&](int64_t i, int64_t n) { (Lanes<T>::load(x + i, n) + Lanes<T>::load(row + i, n)).store(y + i, n); });
  }
}

template <class T>
void add_rows(const T* dy, T* sums, int64_t rows, int64_t dim) {
  for (int64_t r = 0; r < rows; ++r, dy += dim) {
    each_lanes(dim, [&](int64_t i, int64_t n) { accumulate(Lanes<T>::load(dy + i, n), sums + i, n); });
  }
}

// Adding and taking away 1.5 * 2^23 (fp64: 2^52) rounds numbers as small as codes to the nearest integer, ties to even.
template <class T>
void fake_quant(const T* w, T* y, T low, int64_t rows, int64_t dim) {
  const Lanes<T> magic = Lanes<T>::all(sizeof(T) == 4 ? T(12582912) : T(6755399441055744));
  const Lanes<T> lowest = Lanes<T>::all(low), highest = Lanes<T>::all(T(31));
  for (int64_t row = 0; row < rows; ++row, w += dim, y += dim) {
    Lanes<T> most = Lanes<T>::zero();
    each_lanes(dim, [&](int64_t i, int64_t n) { most = max(most, abs(Lanes<T>::load(w + i, n))); });
    const T largest = max_lane(most) / T(31), floor = T(1) / T(31);
    const Lanes<T> step = Lanes<T>::all(largest > floor ? largest : floor);
    each_lanes(dim, [&](int64_t i, int64_t n) {
      const Lanes<T> x = Lanes<T>::load(w + i, n);
      const Lanes<T> code = min(max((x / step + magic) - magic, lowest), highest);
      (x + (code * step - x)).store(y + i, n);
    });
  }
}

template <class T>
void axpby(const T* x, const T* y, T alpha, T beta, T* out, int64_t count) {
  const Lanes<T> a = Lanes<T>::all(alpha), b = Lanes<T>::all(beta);
  each_lanes(count, [&](int64_t i, int64_t n) {
    (a * Lanes<T>::load(x + i, n) + b * Lanes<T>::load(y + i, n)).store(out + i, n);
  });
}

template <class T>
void leaky_relu_sq(const T* h, T* y, T slope, int64_t count) {
  const Lanes<T> zero = Lanes<T>::zero(), s = Lanes<T>::all(slope);
  each_lanes(count, [&](int64_t i, int64_t n) {
    const Lanes<T> x = Lanes<T>::load(h + i, n);
    const Lanes<T> leaky = select(zero < x, x, s * x);
    (leaky * leaky).store(y + i, n);
  });
}

template <class T>
void leaky_relu_sq_grad(const T* h, const T* dy, T* dh, bool add, T slope, int64_t count) {
  const Lanes<T> zero = Lanes<T>::zero(), two = Lanes<T>::all(T(2)), below = Lanes<T>::all(2 * slope * slope);
  each_lanes(count, [&](int64_t i, int64_t n) {
    const Lanes<T> x = Lanes<T>::load(h + i, n);
    put(select(zero < x, two, below) * x * Lanes<T>::load(dy + i, n), dh + i, add, n);
  });
}

// 1 / sqrt(mean(x^2) + eps)
template <class T>
T inverse_rms(const T* x, int64_t dim, T eps) {
  Lanes<T> squares = Lanes<T>::zero();
  each_lanes(dim, [&](int64_t i, int64_t n) {
    const Lanes<T> v = Lanes<T>::load(x + i, n);
    squares = squares + v * v;
  });
  return T(1) / lanes_detail::sqrt1(sum(squares) / T(dim) + eps);
}

template <class T>
void rms_norm(const T* x, T* y, int64_t rows, int64_t dim, T alpha, T eps) {
  for (int64_t row = 0; row < rows; ++row, x += dim, y += dim) {
    const Lanes<T> factor = Lanes<T>::all(alpha * inverse_rms(x, dim, eps));
    each_lanes(dim, [&](int64_t i, int64_t n) { (factor * Lanes<T>::load(x + i, n)).store(y + i, n); });
  }
}

// y = alpha r x with r = inverse_rms: dx = alpha r (dy - x r^2 mean(x dy))
template <class T>
void rms_norm_grad(const T* x, const T* dy, T* dx, bool add, int64_t rows, int64_t dim, T alpha, T eps) {
  for (int64_t row = 0; row < rows; ++row, x += dim, dy += dim, dx += dim) {
    Lanes<T> squares = Lanes<T>::zero(), products = Lanes<T>::zero();
    each_lanes(dim, [&](int64_t i, int64_t n) {
      const Lanes<T> v = Lanes<T>::load(x + i, n);
      squares = squares + v * v;
      products = products + v * Lanes<T>::load(dy + i, n);
    });
    const T r = T(1) / lanes_detail::sqrt1(sum(squares) / T(dim) + eps);
    const Lanes<T> along_dy = Lanes<T>::all(alpha * r);
    const Lanes<T> along_x = Lanes<T>::all(alpha * r * (r * r * (sum(products) / T(dim))));
    each_lanes(dim, [&](int64_t i, int64_t n) {
      put(along_dy * Lanes<T>::load(dy + i, n) - along_x * Lanes<T>::load(x + i, n), dx + i, add, n);
    });
  }
}

template <class T>
void residual_mix(const T* x, const T* x0, const T* mix, T* y, int64_t rows, int64_t dim) {
  for (int64_t row = 0; row < rows; ++row, x += dim, x0 += dim, y += dim) {
    each_lanes(dim, [&](int64_t i, int64_t n) {
      (Lanes<T>::load(mix + i, n) * Lanes<T>::load(x + i, n) +
       Lanes<T>::load(mix + dim + i, n) * Lanes<T>::load(x0 + i, n)).store(y + i, n);
    });
  }
}

template <class T>
void residual_mix_grad(const T* x, const T* x0, const T* mix, const T* dy, T* dx, bool add_dx, T* dx0, bool add_dx0, T* sums,
                       int64_t rows, int64_t dim) {
  for (int64_t row = 0; row < rows; ++row, x += dim, x0 += dim, dy += dim, dx += dim, dx0 += dim) {
    each_lanes(dim, [&](int64_t i, int64_t n) {
      const Lanes<T> g = Lanes<T>::load(dy + i, n);
      accumulate(g * Lanes<T>::load(x + i, n), sums + i, n);
      accumulate(g * Lanes<T>::load(x0 + i, n), sums + dim + i, n);
      put(Lanes<T>::load(mix + i, n) * g, dx + i, add_dx, n);
      put(Lanes<T>::load(mix + dim + i, n) * g, dx0 + i, add_dx0, n);
    });
  }
}

template <class T>
void add_scaled(const T* x, const T* a, const T* s, T* y, int64_t rows, int64_t dim) {
  for (int64_t row = 0; row < rows; ++row, x += dim, a += dim, y += dim) {
    each_lanes(dim, [&](int64_t i, int64_t n) {
      (Lanes<T>::load(x + i, n) + Lanes<T>::load(s + i, n) * Lanes<T>::load(a + i, n)).store(y + i, n);
    });
  }
}

template <class T>
void add_scaled_grad(const T* a, const T* s, const T* dy, T* da, bool add, T* sums, int64_t rows, int64_t dim) {
  for (int64_t row = 0; row < rows; ++row, a += dim, dy += dim, da += dim) {
    each_lanes(dim, [&](int64_t i, int64_t n) {
      const Lanes<T> g = Lanes<T>::load(dy + i, n);
      accumulate(g * Lanes<T>::load(a + i, n), sums + i, n);
      put(Lanes<T>::load(s + i, n) * g, da + i, add, n);
    });
  }
}

template <class T>
void sigmoid_all(const T* x, T* y, int64_t count) {
  each_lanes(count, [&](int64_t i, int64_t n) { sigmoid(Lanes<T>::load(x + i, n)).store(y + i, n); });
}

template <class T>
void skip_gate(const T* x, const T* skip, const T* w, const T* g, T* y, int64_t rows, int64_t dim) {
  const Lanes<T> one = Lanes<T>::all(T(1));
  for (int64_t row = 0; row < rows; ++row, x += dim, skip += dim, y += dim) {
    each_lanes(dim, [&](int64_t i, int64_t n) {
      const Lanes<T> gate = Lanes<T>::load(g + i, n);
      const Lanes<T> weighted = Lanes<T>::load(w + i, n) * Lanes<T>::load(skip + i, n);
      (gate * Lanes<T>::load(x + i, n) + (one - gate) * weighted).store(y + i, n);
    });
  }
}

template <class T>
void skip_gate_grad(const T* x, const T* skip, const T* w, const T* g, const T* dy, T* dx, bool add_dx, T* dskip,
                    bool add_dskip, T* sums, int64_t rows, int64_t dim) {
  const Lanes<T> one = Lanes<T>::all(T(1));
  for (int64_t row = 0; row < rows; ++row, x += dim, skip += dim, dy += dim, dx += dim, dskip += dim) {
    each_lanes(dim, [&](int64_t i, int64_t n) {
      const Lanes<T> gate = Lanes<T>::load(g + i, n), weight = Lanes<T>::load(w + i, n);
      const Lanes<T> d = Lanes<T>::load(dy + i, n), s = Lanes<T>::load(skip + i, n);
      accumulate(s * d, sums + i, n);
      accumulate((Lanes<T>::load(x + i, n) - weight * s) * d, sums + dim + i, n);
      put(gate * d, dx + i, add_dx, n);
      put((one - gate) * weight * d, dskip + i, add_dskip, n);
    });
  }
}

template <class T>
void lane_mix(const LaneMix<T>& in, T* y, int64_t rows, int64_t dim) {
  const Lanes<T> r = Lanes<T>::all(*in.r), pa = Lanes<T>::all(*in.pa), pf = Lanes<T>::all(*in.pf);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t at = row * dim;
    each_lanes(dim, [&](int64_t i, int64_t n) {
      const Lanes<T> a = Lanes<T>::load(in.sa + i, n) * Lanes<T>::load(in.a + at + i, n);
      const Lanes<T> f = Lanes<T>::load(in.sf + i, n) * Lanes<T>::load(in.f + at + i, n);
      (r * Lanes<T>::load(in.lane + at + i, n) + pa * a + pf * f).store(y + at + i, n);
    });
  }
}

template <class T>
void lane_mix_grad(const LaneMix<T>& in, const T* dy, const LaneMixGrad<T>& out, T* sums, int64_t rows, int64_t dim) {
  const Lanes<T> r = Lanes<T>::all(*in.r), pa = Lanes<T>::all(*in.pa), pf = Lanes<T>::all(*in.pf);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t at = row * dim;
    each_lanes(dim, [&](int64_t i, int64_t n) {
      const Lanes<T> d = Lanes<T>::load(dy + at + i, n);
      accumulate(d * Lanes<T>::load(in.lane + at + i, n), sums + i, n);
      accumulate(d * Lanes<T>::load(in.a + at + i, n), sums + dim + i, n);
      accumulate(d * Lanes<T>::load(in.f + at + i, n), sums + 2 * dim + i, n);
      put(r * d, out.lane + at + i, out.add_lane, n);
      put(pa * Lanes<T>::load(in.sa + i, n) * d, out.a + at + i, out.add_a, n);
      put(pf * Lanes<T>::load(in.sf + i, n) * d, out.f + at + i, out.add_f, n);
    });
  }
}

template <class T>
constexpr RowKernels<T> kTable = {
    scale<T>,        scale_by_grad<T>,   add_row<T>,       add_rows<T>,           fake_quant<T>,
    axpby<T>,        leaky_relu_sq<T>, leaky_relu_sq_grad<T>, rms_norm<T>,  rms_norm_grad<T>,
    residual_mix<T>, residual_mix_grad<T>, add_scaled<T>,  add_scaled_grad<T>,    sigmoid_all<T>, skip_gate<T>,
    skip_gate_grad<T>, lane_mix<T>,      lane_mix_grad<T>,
};

}  // namespace

const RowKernels<float>& row_kernels_f32() { return kTable<float>; }
const RowKernels<double>& row_kernels_f64() { return kTable<double>; }

}  // namespace sixteen::cpu::SIXTEEN_ISA
