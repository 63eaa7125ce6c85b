// Token shards of the challenge (.bin): 256 little-endian int32 (20240520, 1, count, zeros), then count uint16 tokens.
// A byte sidecar has the same layout with magic kSidecarMagic: the bytes that each token of its shard accounts for.
//
// Bites: the header's count must match the file's size exactly; the training loader of the records does not check, we do.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "formats/file.h"

namespace sixteen {

constexpr int32_t kShardMagic = 20240520;
constexpr int32_t kSidecarMagic = 20240521;
constexpr int32_t kShardVersion = 1;
constexpr size_t kShardHeaderBytes = 1024;

// The tokens of a complete shard in memory, in place (`file` must start at an even address); `where` names it in errors.
// Throws Error (where, offset, expected, found) on anything else.
std::span<const uint16_t> parse_shard(std::span<const std::byte> file, const std::string& where,
                                      int32_t magic = kShardMagic);

// A mapped, validated shard. Throws Error (path, offset, expected, found) on anything but a complete shard.
class TokenShard {
 public:
  explicit TokenShard(const std::string& path, int32_t magic = kShardMagic);
  const std::string& path() const { return file_.path(); }
  std::span<const uint16_t> tokens() const { return tokens_; }

  // Advice to fetch the tokens [begin, end) from the disk ahead of their use; a range beyond the end is cut off.
  void will_need(size_t begin, size_t end) const {
    file_.will_need(kShardHeaderBytes + begin * sizeof(uint16_t), (end - begin) * sizeof(uint16_t));
  }

  // Throws Error naming the file, the offset and the first id >= vocab.
  void check_vocab(int64_t vocab) const;

 private:
  MappedFile file_;
  std::span<const uint16_t> tokens_;
};

// Writes a complete shard atomically. Throws Error when there are more than 2^31 - 1 tokens.
void write_shard(const std::string& path, std::span<const uint16_t> tokens, int32_t magic = kShardMagic);

// All shards matching the pattern, concatenated in lexicographic order.
std::vector<uint16_t> read_shards(const std::string& pattern, int64_t vocab);

}  // namespace sixteen
