// SmearGate and the gate a head (gate_kernels.h), sixteen lanes at a time. Listed in GRAPH_ISA_SOURCES: see isa.h for what
// such a source must not use.
#include "graph/cpu/gate_kernels.h"

#include "graph/cpu/each_lanes.h"
#include "graph/cpu/vecmath.h"

namespace sixteen::cpu::SIXTEEN_ISA {

namespace {

template <class T>
void smear(const T* x, const T* g, T* y, int64_t begin, int64_t end, int64_t dim, int64_t seq) {
  const Lanes<T> one = Lanes<T>::all(T(1));
  for (int64_t row = begin; row < end; ++row) {
    const T *now = x + row * dim, *before = row % seq != 0 ? now - dim : nullptr;
    each_lanes(dim, [&](int64_t i, int64_t n) {
      const Lanes<T> gate = Lanes<T>::load(g + i, n);
      Lanes<T> mixed = (one - gate) * Lanes<T>::load(now + i, n);
      if (before != nullptr) mixed = mixed + gate * Lanes<T>::load(before + i, n);
      mixed.store(y + row * dim + i, n);
    });
  }
}

template <class T>
void smear_grad(const T* x, const T* g, const T* dy, T* dx, bool add, T* sums, int64_t begin, int64_t end, int64_t dim,
                int64_t seq) {
  const Lanes<T> one = Lanes<T>::all(T(1));
  for (int64_t row = begin; row < end; ++row) {
    const T *now = x + row * dim, *before = row % seq != 0 ? now - dim : nullptr;
    const T *d = dy + row * dim, *after = (row + 1) % seq != 0 ? d + dim : nullptr;
    each_lanes(dim, [&](int64_t i, int64_t n) {
      const Lanes<T> gate = Lanes<T>::load(g + i, n), own = Lanes<T>::load(d + i, n);
      const Lanes<T> previous = before != nullptr ? Lanes<T>::load(before + i, n) : Lanes<T>::zero();
      const Lanes<T> next = after != nullptr ? Lanes<T>::load(after + i, n) : Lanes<T>::zero();
      accumulate((previous - Lanes<T>::load(now + i, n)) * own, sums + i, n);
      put((one - gate) * own + gate * next, dx + row * dim + i, add, n);
    });
  }
}

// g = sigmoid(z + bias), a value a head.
template <class T>
void open_heads(const T* z, const T* bias, T* g, int64_t heads) {
  each_lanes(heads, [&](int64_t i, int64_t n) {
    sigmoid(Lanes<T>::load(z + i, n) + Lanes<T>::load(bias + i, n)).store(g + i, n);
  });
}

template <class T>
void head_gate(const T* y, const T* z, const T* bias, T* out, T* g, int64_t rows, int64_t heads, int64_t head_dim) {
  for (int64_t row = 0; row < rows; ++row, z += heads) {
    open_heads(z, bias, g, heads);
    for (int64_t h = 0; h < heads; ++h, y += head_dim, out += head_dim) {
      const Lanes<T> gate = Lanes<T>::all(g[h]);
      each_lanes(head_dim, [&](int64_t i, int64_t n) { (gate * Lanes<T>::load(y + i, n)).store(out + i, n); });
    }
  }
}

// dz = g (1 - g) sum_i y_i dout_i
template <class T>
void head_gate_grad(const T* y, const T* z, const T* bias, const T* dout, T* dy, bool add_dy, T* dz, bool add_dz, T* sums, T* g,
                    int64_t rows, int64_t heads, int64_t head_dim) {
  for (int64_t row = 0; row < rows; ++row, z += heads, dz += heads) {
    open_heads(z, bias, g, heads);
    for (int64_t h = 0; h < heads; ++h, y += head_dim, dout += head_dim, dy += head_dim) {
      const Lanes<T> gate = Lanes<T>::all(g[h]);
      Lanes<T> products = Lanes<T>::zero();
      each_lanes(head_dim, [&](int64_t i, int64_t n) {
        const Lanes<T> d = Lanes<T>::load(dout + i, n);
        products = products + d * Lanes<T>::load(y + i, n);
        put(gate * d, dy + i, add_dy, n);
      });
      const T gradient = g[h] * (T(1) - g[h]) * sum(products);
      dz[h] = add_dz ? dz[h] + gradient : gradient;
      sums[h] += gradient;
    }
  }
}

template <class T>
constexpr GateKernels<T> kTable = {smear<T>, smear_grad<T>, head_gate<T>, head_gate_grad<T>};

}  // namespace

const GateKernels<float>& gate_kernels_f32() { return kTable<float>; }
const GateKernels<double>& gate_kernels_f64() { return kTable<double>; }

}  // namespace sixteen::cpu::SIXTEEN_ISA
