// Loads and stores of up to 16 bytes at a time, reductions within a warp, and the choice of a vector width.
//
// Arithmetic is fp32 whatever is stored: a pack is read into floats and written from them.
// Bites: none of these pointers is __restrict__: gradients may share memory (layer 0's x and x0), and then the order of a
// thread's stores and loads is what makes the sum right.
#pragma once

#include "graph/cuda/launch.h"

namespace sixteen::cuda {

template <class T, int V>
struct alignas(sizeof(T) * V) Packed {
  T v[V];
};

template <int V>
struct Floats {
  float v[V];
};

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(bf16 x) { return __bfloat162float(x); }
__device__ inline void from_float(float x, float* out) { *out = x; }
__device__ inline void from_float(float x, bf16* out) { *out = __float2bfloat16_rn(x); }
__device__ inline float rounded_bf16(float x) { return __bfloat162float(__float2bfloat16_rn(x)); }
__device__ inline float maybe_rounded(float x, bool round) { return round ? rounded_bf16(x) : x; }

template <int V, class T>
__device__ inline Floats<V> load(const T* p) {
  const Packed<T, V> packed = *reinterpret_cast<const Packed<T, V>*>(p);
  Floats<V> result;
#pragma unroll
  for (int i = 0; i < V; ++i) result.v[i] = to_float(packed.v[i]);
  return result;
}

// Eight floats are two 16-byte accesses.
template <>
__device__ inline Floats<8> load<8, float>(const float* p) {
  const float4 a = reinterpret_cast<const float4*>(p)[0], b = reinterpret_cast<const float4*>(p)[1];
  return {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
}

template <int V, class T>
__device__ inline void store(const Floats<V>& x, T* p) {
  Packed<T, V> packed;
#pragma unroll
  for (int i = 0; i < V; ++i) from_float(x.v[i], &packed.v[i]);
  *reinterpret_cast<Packed<T, V>*>(p) = packed;
}

template <>
__device__ inline void store<8, float>(const Floats<8>& x, float* p) {
  reinterpret_cast<float4*>(p)[0] = {x.v[0], x.v[1], x.v[2], x.v[3]};
  reinterpret_cast<float4*>(p)[1] = {x.v[4], x.v[5], x.v[6], x.v[7]};
}

// Stores x, or adds it to what is there.
template <int V, class T>
__device__ inline void put(Floats<V> x, T* p, bool add) {
  if (add) {
    const Floats<V> old = load<V>(p);
#pragma unroll
    for (int i = 0; i < V; ++i) x.v[i] += old.v[i];
  }
  store<V>(x, p);
}

template <class T>
__device__ inline void put(float x, T* p, bool add) {
  from_float(add ? to_float(*p) + x : x, p);
}

// How many keys of a window are there: all, or as many as a device value says.
__device__ inline int64_t seen_keys(const int32_t* keys, int64_t seq) { return keys != nullptr ? *keys : seq; }

// The same sum in all lanes, in a fixed order (a butterfly).
__device__ inline float warp_sum(float x) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}

__device__ inline float warp_max(float x) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
  return x;
}

// n / divisor by a multiplication (Granlund and Montgomery 1994), for n below 2^31.
class Divider {
 public:
  explicit Divider(int64_t divisor) : divisor_(static_cast<uint32_t>(divisor)) {
    CHECK(divisor >= 1 && divisor < (int64_t{1} << 31));
    while ((uint64_t{1} << shift_) < divisor_) ++shift_;
    magic_ = static_cast<uint32_t>((uint64_t{1} << 32) * ((uint64_t{1} << shift_) - divisor_) / divisor_ + 1);
  }
  __device__ uint32_t quotient(uint32_t n) const { return (__umulhi(n, magic_) + n) >> shift_; }
  __device__ uint32_t remainder(uint32_t n) const { return n - quotient(n) * divisor_; }

 private:
  uint32_t divisor_, magic_ = 0, shift_ = 0;
};

// Softcap. kFast: bf16 graphs, in losses and in logits, so that one logit has one value (hints.cu alone is exact).
template <bool kFast>
__device__ inline float tanh_of(float x) {
  return kFast ? 1.0f - __fdividef(2.0f, 1.0f + __expf(2.0f * x)) : tanhf(x);
}

template <bool kFast>
__device__ inline float capped(float z, float cap) {
  return cap > 0 ? cap * tanh_of<kFast>(z / cap) : z;
}

__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// Elements a thread handles at once: as many as 16 bytes of the narrow type hold, if all rows and pointers allow it.
template <class T>
constexpr int kWide = 16 / sizeof(T);

inline bool aligned16() { return true; }
template <class... Rest>
bool aligned16(const void* p, Rest... rest) {
  return reinterpret_cast<uintptr_t>(p) % 16 == 0 && aligned16(rest...);
}

}  // namespace sixteen::cuda
