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
  Sha256 finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Sha256 sha256(std::span<const std::byte> bytes);
std::string to_hex(const Sha256& digest);

}  // namespace sixteen
