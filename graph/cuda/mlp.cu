// The MLP's fused products: Hopper's kernel where it fits, else the product followed by its activation.
//
// Bites: which of the two runs depends on n, k, alignment and the card, never on the number of rows: a scored row keeps its bits.
#include "graph/cuda/attention.h"
#include "graph/cuda/mlp.h"
#include "graph/cuda/pack.cuh"

namespace sixteen::cuda {

template <class T>
void linear_leaky_relu_sq(Launch& l, const T* x, const T* w, T* y, T* h, const MlpShape& s, float slope) {
  if constexpr (std::is_same_v<T, bf16>) {
    if (on_hopper() && hopper_mlp_fits(s.rows, s.n, s.k) && aligned16(x, w, y, h))
      return linear_leaky_relu_sq_hopper(l, x, w, y, h, s, slope);
  }
  T* pre = h != nullptr ? h : y;
  matmul(l, {false, true, s.rows, s.n, s.k, s.k, s.k, s.n, false}, x, w, pre);
  leaky_relu_sq<T>(l, pre, y, slope, s.rows * s.n);
}

template <class T>
void matmul_leaky_relu_sq_grad(Launch& l, const T* dy, const T* w, const T* h, T* dh, bool add, const MlpShape& s, float slope) {
  if constexpr (std::is_same_v<T, bf16>) {
    if (!add && on_hopper() && hopper_mlp_fits(s.rows, s.n, s.k) && aligned16(dy, w, h, dh))
      return matmul_leaky_relu_sq_grad_hopper(l, dy, w, h, dh, s, slope);
  }
  T* activated = add ? l.scratch<T>(s.rows * s.n) : dh;
  matmul(l, {false, false, s.rows, s.n, s.k, s.k, s.n, s.n, false}, dy, w, activated);
  leaky_relu_sq_grad<T>(l, h, activated, dh, add, slope, s.rows * s.n);
}

#define SIXTEEN_INSTANTIATE(T)                                                                                  \
  template void linear_leaky_relu_sq(Launch&, const T*, const T*, T*, T*, const MlpShape&, float);              \
  template void matmul_leaky_relu_sq_grad(Launch&, const T*, const T*, const T*, T*, bool, const MlpShape&, float);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(bf16)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cuda
