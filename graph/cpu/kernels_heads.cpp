// Row kernels that see one head at a time: the norm, rotation and gain of queries and keys, and the removal of a row's own
// value direction (XSA).
//
// Bites: gain's gradient is a sum over all rows; it goes through blocks of kRowBlock rows, added in order (threads.h).
#include <cmath>

#include "graph/cpu/kernels.h"

namespace sixteen::cpu {

namespace {

constexpr int64_t kGrainRows = 16;
constexpr double kXsaEps = 1e-12;  // the records' F.normalize

template <class T>
T dot(const T* a, const T* b, int64_t n) {
  T sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// y = rope(x) in half layout: (a, b) -> (a cos + b sin, -a sin + b cos); transposed: the rotation back. y may be x.
template <class T>
void rotate(const T* x, const T* cos, const T* sin, int64_t half, int64_t dh, bool transposed, T* y) {
  for (int64_t i = 0; i < half; ++i) {
    const T a = x[i], b = x[i + half], s = transposed ? -sin[i] : sin[i];
    y[i] = a * cos[i] + b * s;
    y[i + half] = b * cos[i] - a * s;
  }
  for (int64_t i = 2 * half; i < dh; ++i) y[i] = x[i];
}

}  // namespace

template <class T>
void head_norm(ThreadPool& pool, const T* x, const T* cos, const T* sin, const T* gain, T* y, const HeadNormShape& s, T eps) {
  const int64_t dh = s.head_dim;
  pool.parallel_for(s.rows, kGrainRows, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* c = cos + r % s.seq * s.rope_half;
      const T* n = sin + r % s.seq * s.rope_half;
      for (int64_t h = 0; h < s.heads; ++h) {
        const T* in = x + (r * s.heads + h) * dh;
        T* out = y + (r * s.heads + h) * dh;
        const T factor = (gain != nullptr ? gain[h] : T(1)) / std::sqrt(dot(in, in, dh) / T(dh) + eps);
        rotate(in, c, n, s.rope_half, dh, false, out);
        for (int64_t i = 0; i < dh; ++i) out[i] *= factor;
      }
    }
  });
}

template <class T>
void head_norm_grad(ThreadPool& pool, const T* x, const T* cos, const T* sin, const T* gain, const T* dy, T* dx, bool add_dx,
                    T* dgain, const HeadNormShape& s, T eps) {
  const int64_t dh = s.head_dim, blocks = (s.rows + kRowBlock - 1) / kRowBlock;
  T* partial = static_cast<T*>(pool.scratch(sizeof(T) * static_cast<size_t>(blocks * s.heads), 0));
  pool.parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    T* turned = static_cast<T*>(pool.scratch(sizeof(T) * static_cast<size_t>(dh), 1));  // dy, rotated back
    for (int64_t b = begin; b < end; ++b) {
      T* sums = partial + b * s.heads;
      for (int64_t h = 0; h < s.heads; ++h) sums[h] = 0;
      const int64_t last = (b + 1) * kRowBlock < s.rows ? (b + 1) * kRowBlock : s.rows;
      for (int64_t r = b * kRowBlock; r < last; ++r) {
        const T* c = cos + r % s.seq * s.rope_half;
        const T* n = sin + r % s.seq * s.rope_half;
        for (int64_t h = 0; h < s.heads; ++h) {
          const T* in = x + (r * s.heads + h) * dh;
          T* out = dx + (r * s.heads + h) * dh;
          rotate(dy + (r * s.heads + h) * dh, c, n, s.rope_half, dh, true, turned);
          const T inverse = T(1) / std::sqrt(dot(in, in, dh) / T(dh) + eps);
          const T along = dot(in, turned, dh) * inverse;  // dy . rope(rms(x))
          sums[h] += along;
          const T factor = (gain != nullptr ? gain[h] : T(1)) * inverse;
          const T back = along * inverse / T(dh);
          for (int64_t i = 0; i < dh; ++i) {
            const T d = factor * (turned[i] - back * in[i]);
            out[i] = add_dx ? out[i] + d : d;
          }
        }
      }
    }
  });
  if (dgain == nullptr) return;
  for (int64_t b = 0; b < blocks; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) dgain[h] += partial[b * s.heads + h];
  }
}

template <class T>
void xsa(ThreadPool& pool, const T* y, const T* v, T* out, int64_t rows, int64_t heads, int64_t kv_heads, int64_t head_dim) {
  const int64_t group = heads / kv_heads;
  pool.parallel_for(rows * kv_heads, kGrainRows, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      const T* value = v + g * head_dim;
      const T norm = std::fmax(std::sqrt(dot(value, value, head_dim)), T(kXsaEps));
      for (int64_t h = g * group; h < (g + 1) * group; ++h) {
        const T factor = dot(y + h * head_dim, value, head_dim) / norm / norm;
        for (int64_t i = 0; i < head_dim; ++i) out[h * head_dim + i] = y[h * head_dim + i] - factor * value[i];
      }
    }
  });
}

template <class T>
void xsa_grad(ThreadPool& pool, const T* y, const T* v, const T* dout, T* dy, bool add_dy, T* dv, bool add_dv, int64_t rows,
              int64_t heads, int64_t kv_heads, int64_t head_dim) {
  const int64_t group = heads / kv_heads;
  pool.parallel_for(rows * kv_heads, kGrainRows, [&](int64_t begin, int64_t end) {
    T* dhat = static_cast<T*>(pool.scratch(sizeof(T) * static_cast<size_t>(head_dim), 0));  // gradient of the unit vector
    for (int64_t g = begin; g < end; ++g) {
      const T* value = v + g * head_dim;
      const T length = std::sqrt(dot(value, value, head_dim));
      const T norm = std::fmax(length, T(kXsaEps));
      for (int64_t i = 0; i < head_dim; ++i) dhat[i] = 0;
      for (int64_t h = g * group; h < (g + 1) * group; ++h) {
        const T* yh = y + h * head_dim;
        const T* dh = dout + h * head_dim;
        const T along_y = dot(yh, value, head_dim) / norm, along_d = dot(dh, value, head_dim) / norm;
        for (int64_t i = 0; i < head_dim; ++i) {
          dhat[i] -= along_y * dh[i] + along_d * yh[i];
          const T d = dh[i] - along_d / norm * value[i];
          dy[h * head_dim + i] = add_dy ? dy[h * head_dim + i] + d : d;
        }
      }
      const T back = length > T(kXsaEps) ? dot(dhat, value, head_dim) / norm / norm : T(0);
      for (int64_t i = 0; i < head_dim; ++i) {
        const T d = (dhat[i] - back * value[i]) / norm;
        dv[g * head_dim + i] = add_dv ? dv[g * head_dim + i] + d : d;
      }
    }
  });
}

#define SIXTEEN_INSTANTIATE(T)                                                                                              \
  template void head_norm(ThreadPool&, const T*, const T*, const T*, const T*, T*, const HeadNormShape&, T);                \
  template void head_norm_grad(ThreadPool&, const T*, const T*, const T*, const T*, const T*, T*, bool, T*,                 \
                               const HeadNormShape&, T);                                                                    \
  template void xsa(ThreadPool&, const T*, const T*, T*, int64_t, int64_t, int64_t, int64_t);                               \
  template void xsa_grad(ThreadPool&, const T*, const T*, const T*, T*, bool, T*, bool, int64_t, int64_t, int64_t, int64_t);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(double)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cpu
