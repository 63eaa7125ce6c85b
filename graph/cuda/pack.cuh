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

// Moved as one word: left to itself the compiler sometimes stores a pack two or four bytes at a time.
template <size_t kBytes>
struct WordOf;
template <>
struct WordOf<2> {
  using type = uint16_t;
};
template <>
struct WordOf<4> {
  using type = uint32_t;
};
template <>
struct WordOf<8> {
  using type = uint2;
};
template <>
struct WordOf<16> {
  using type = uint4;
};
template <int V, class T>
using Word = typename WordOf<sizeof(Packed<T, V>)>::type;

template <int V, class T>
__device__ inline Packed<T, V> load_pack(const T* p) {
  return __builtin_bit_cast(Packed<T, V>, *reinterpret_cast<const Word<V, T>*>(p));
}

// To global memory.
template <int V, class T>
__device__ inline void store_pack(const Packed<T, V>& x, T* p) {
  const auto word = __builtin_bit_cast(Word<V, T>, x);
  if constexpr (sizeof(word) == 16) __stwb(reinterpret_cast<uint4*>(p), word);
  else *reinterpret_cast<Word<V, T>*>(p) = word;
}

// bf16 in pairs: an instruction an element to unpack and one a pair to pack; taken one by one both cost twice that.
template <int V, class T>
__device__ inline Floats<V> unpack(const Packed<T, V>& packed) {
  Floats<V> result;
  if constexpr (std::is_same_v<T, bf16> && V % 2 == 0) {
    const auto pairs = __builtin_bit_cast(Packed<uint32_t , V / 2>, packed);
#pragma unroll
    for (int i = 0; i < V / 2; ++i) {
      result.v[2 * i] = __uint_as_float(pairs.v[i] << 16);
      result.v[2 * i + 1] = __uint_as_float(pairs.v[i] & 0xffff0000u);
    }
  } else {
#pragma unroll
    for (int i = 0; i < V; ++i) result.v[i] = to_float(packed.v[i]);
  }
  return result;
}

template <class T, int V>
__device__ inline Packed<T, V> pack(const Floats<V>& x) {
  if constexpr (std::is_same_v<T, bf16> && V % 2 == 0) {
    Packed<uint32_t, V / 2> pairs;
#pragma unroll
    for (int i = 0; i < V / 2; ++i) {
      const __nv_bfloat162 pair = __floats2bfloat162_rn(x.v[2 * i], x.v[2 * i + 1]);
      pairs.v[i] = reinterpret_cast<const uint32_t&>(pair);
    }
    return __builtin_bit_cast(Packed<T , V>, pairs);
  } else {
    Packed<T, V> packed;
#pragma unroll
    for (int i = 0; i < V; ++i) from_float(x.v[i], &packed.v[i]);
    return packed;
  }
}

template <int V, class T>
__device__ inline Floats<V> load(const T* p) {
  return unpack(load_pack<V>(p));
}

// Eight floats are two 16-byte accesses.
template <>
__device__ inline Floats<8> load<8, float>(const float* p) {
  const float4 a = reinterpret_cast<const float4*>(p)[0], b = reinterpret_cast<const float4*>(p)[1];
  return {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
}

template <int V, class T>
__device__ inline void store(const Floats<V>& x, T* p) {
  store_pack<V>(pack<T>(x), p);
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
