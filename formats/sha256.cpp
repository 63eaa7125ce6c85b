// SHA-256 through OpenSSL's EVP interface. Its calls fail only without memory or with a broken provider: CHECK.
#include "formats/sha256.h"

#include <openssl/evp.h>

#include <string_view>

#include "formats/check.h"

namespace sixteen {

struct Sha256Stream::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256Stream::Sha256Stream() : state_(std::make_unique<State>()) {
  CHECK(state_->context != nullptr);
  CHECK(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}

Sha256Stream::~Sha256Stream() = default;

void Sha256Stream::update(std::span<const std::byte> bytes) {
  CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

Sha256 Sha256Stream::so_far() const {
  Sha256Stream copy;
  CHECK(EVP_MD_CTX_copy_ex(copy.state_->context, state_->context) == 1);
  return copy.finish();
}

Sha256 Sha256Stream::finish() {
  Sha256 digest{};
  unsigned length = 0;
  CHECK(EVP_DigestFinal_ex(state_->context, digest.data(), &length) == 1 && length == digest.size());
  return digest;
}

Sha256 sha256(std::span<const std::byte> bytes) {
  Sha256Stream stream;
  stream.update(bytes);
  return stream.finish();
}

Sha256 tree_root(uint64_t bytes, std::span<const Sha256> leaves) {
  Sha256Stream stream;
  stream.update(std::as_bytes(std::span(std::string_view("sixteen tree"))));
  stream.update(std::as_bytes(std::span(&bytes, 1)));
  stream.update(std::as_bytes(leaves));
  return stream.finish();
}

std::string to_hex(const Sha256& digest) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const uint8_t byte : digest) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

}  // namespace sixteen
