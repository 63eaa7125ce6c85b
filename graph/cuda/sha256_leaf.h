// SHA-256 (FIPS 180-4) of one stretch of memory by one thread, for leaves of a tree (formats/sha256.h): on a card all leaves of a
// buffer are hashed at once, where it lies.
//
// Plain C++ that the host compiles too, so that its test needs no card. Bites: `data` must be 4-byte aligned.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef __CUDACC__
#define SIXTEEN_HOST_DEVICE __host__ __device__
#else
#define SIXTEEN_HOST_DEVICE
#endif

namespace sixteen::cuda {

struct Sha256Words {
  uint32_t h[8];  // big-endian words of the digest, as numbers
};

SIXTEEN_HOST_DEVICE inline uint32_t rotate_right(uint32_t x, int by) { return x >> by | x << (32 - by); }

SIXTEEN_HOST_DEVICE inline uint32_t swap_bytes(uint32_t x) {
  return x >> 24 | (x >> 8 & 0xff00u) | (x << 8 & 0xff0000u) | x << 24;
}

SIXTEEN_HOST_DEVICE inline void sha256_block(const uint32_t* k, uint32_t (&w)[16], uint32_t (&h)[8]) {
  uint32_t s[8];
  for (int i = 0; i < 8; ++i) s[i] = h[i];
#ifdef __CUDACC__
#pragma unroll
#endif
  for (int i = 0; i < 64; ++i) {
    uint32_t word = w[i & 15];
    if (i >= 16) {
      const uint32_t a = w[(i + 1) & 15], b = w[(i + 14) & 15];
      word += (rotate_right(a, 7) ^ rotate_right(a, 18) ^ a >> 3) + w[(i + 9) & 15] + (rotate_right(b, 17) ^ rotate_right(b, 19) ^ b >> 10);
      w[i & 15] = word;
    }
    const uint32_t t1 = s[7] + (rotate_right(s[4], 6) ^ rotate_right(s[4], 11) ^ rotate_right(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + word;
    const uint32_t t2 = (rotate_right(s[0], 2) ^ rotate_right(s[0], 13) ^ rotate_right(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    for (int j = 7; j > 0; --j) s[j] = s[j - 1];
    s[4] += t1;
    s[0] = t1 + t2;
  }
  for (int i = 0; i < 8; ++i) h[i] += s[i];
}

// k: the 64 round constants.
SIXTEEN_HOST_DEVICE inline Sha256Words sha256_leaf(const uint32_t* k, const uint32_t* data, size_t bytes) {
  Sha256Words digest = {{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
  uint32_t w[16];
  const size_t whole = bytes / 64;
  for (size_t block = 0; block < whole; ++block) {
    for (int i = 0; i < 16; ++i) w[i] = swap_bytes(data[16 * block + i]);
    sha256_block(k, w, digest.h);
  }
  // The rest, a bit 1, zeros, and the length in bits: one block or two.
  const size_t rest = bytes % 64;
  const auto* tail = reinterpret_cast<const unsigned char*>(data) + 64 * whole;
  for (int i = 0; i < 16; ++i) w[i] = 0;
  for (size_t i = 0; i < rest; ++i) w[i / 4] |= static_cast<uint32_t>(tail[i]) << (24 - 8 * (i % 4));
  w[rest / 4] |= 0x80u << (24 - 8 * (rest % 4));
  if (rest >= 56) {
    sha256_block(k, w, digest.h);
    for (int i = 0; i < 16; ++i) w[i] = 0;
  }
  w[14] = static_cast<uint32_t>(static_cast<uint64_t>(bytes) >> 29);
  w[15] = static_cast<uint32_t>(bytes << 3);
  sha256_block(k, w, digest.h);
  return digest;
}

inline constexpr uint32_t kSha256Rounds[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

}  // namespace sixteen::cuda
