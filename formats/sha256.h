// SHA-256 of bytes in memory or of a stream (OpenSSL's).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace sixteen {

using Sha256 = std::array<uint8_t, 32>;

class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  void update(std::span<const std::byte> bytes);
  Sha256 so_far() const;  // of all bytes until now; more may follow
  Sha256 finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Sha256 sha256(std::span<const std::byte> bytes);
std::string to_hex(const Sha256& digest);

// A tree over leaves of kLeafBytes (the last one shorter): leaves can be hashed anywhere, at the same time. Root: SHA-256 of
// "sixteen tree", the number of bytes as uint64, and the leaves' SHA-256s one behind the other.
constexpr size_t kLeafBytes = 65536;
constexpr size_t leaf_count(size_t bytes) { return (bytes + kLeafBytes - 1) / kLeafBytes; }
Sha256 tree_root(uint64_t bytes, std::span<const Sha256> leaves);

}  // namespace sixteen
