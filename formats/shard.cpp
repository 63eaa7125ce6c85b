// Token shards and byte sidecars: validation before use, writing, concatenation.
#include "formats/shard.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "formats/check.h"
#include "formats/error.h"

namespace sixteen {
namespace {

constexpr size_t kHeaderInts = kShardHeaderBytes / sizeof(int32_t);

}  // namespace

std::span<const uint16_t> parse_shard(std::span<const std::byte> file, const std::string& where, int32_t magic) {
  const char* what = magic == kSidecarMagic ? "byte sidecar" : "token shard";
  if (file.size() < kShardHeaderBytes) {
    fail(where, ": no ", what, ": expected a header of ", kShardHeaderBytes, " bytes, found a file of ", file.size());
  }
  std::array<int32_t, kHeaderInts> header;
  std::memcpy(header.data(), file.data(), kShardHeaderBytes);
  if (header[0] != magic) fail(where, ": no ", what, ": offset 0: expected magic ", magic, ", found ", header[0]);
  if (header[1] != kShardVersion) {
    fail(where, ": offset 4: expected ", what, " version ", kShardVersion, ", found ", header[1]);
  }
  if (header[2] < 0) fail(where, ": offset 8: expected a token count, found ", header[2]);
  for (size_t i = 3; i < kHeaderInts; ++i) {
    if (header[i] != 0) fail(where, ": offset ", 4 * i, ": expected zero in the unused header, found ", header[i]);
  }
  const size_t count = static_cast<size_t>(header[2]);
  const size_t expected = kShardHeaderBytes + count * sizeof(uint16_t);
  if (file.size() != expected) {
    fail(where, ": ", file.size() < expected ? "truncated" : "bytes behind the end", ": a header that counts ", count,
         " tokens makes ", expected, " bytes, found ", file.size());
  }
  const std::byte* data = file.data() + kShardHeaderBytes;
  CHECK(reinterpret_cast<uintptr_t>(data) % alignof(uint16_t) == 0);
  return {reinterpret_cast<const uint16_t*>(data), count};
}

TokenShard::TokenShard(const std::string& path, int32_t magic)
    : file_(path), tokens_(parse_shard(file_.bytes(), path, magic)) {}

void TokenShard::check_vocab(int64_t vocab) const {
  const auto bad = std::find_if(tokens_.begin(), tokens_.end(), [vocab](uint16_t id) { return id >= vocab; });
  if (bad == tokens_.end()) return;
  const size_t index = static_cast<size_t>(bad - tokens_.begin());
  fail(path(), ": offset ", kShardHeaderBytes + index * sizeof(uint16_t), ": token ", index, " is id ", *bad,
       ", expected an id below the vocabulary's ", vocab, " (is this shard made with another tokenizer?)");
}

void write_shard(const std::string& path, std::span<const uint16_t> tokens, int32_t magic) {
  if (tokens.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    fail(path, ": a shard holds at most 2147483647 tokens, got ", tokens.size(), ": split them over several shards");
  }
  std::array<int32_t, kHeaderInts> header{};
  header[0] = magic;
  header[1] = kShardVersion;
  header[2] = static_cast<int32_t>(tokens.size());
  OutputFile file(path);
  file.write(header.data(), kShardHeaderBytes);
  file.write(tokens.data(), tokens.size_bytes());
  file.commit();
}

std::vector<uint16_t> read_shards(const std::string& pattern, int64_t vocab) {
  std::vector<uint16_t> all;
  for (const std::string& path : glob_files(pattern)) {
    const TokenShard shard(path);
    shard.check_vocab(vocab);
    all.insert(all.end(), shard.tokens().begin(), shard.tokens().end());
  }
  return all;
}

}  // namespace sixteen
