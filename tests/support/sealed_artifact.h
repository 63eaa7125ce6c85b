// .s16 files of any header and any stream bytes, with every length and the hash right: what an adversary would write.
#pragma once

#include <algorithm>
#include <cstring>
#include <string_view>

#include "formats/artifact_index.h"
#include "formats/codec.h"
#include "formats/sha256.h"

namespace sixteen::testing {

// Makes the last 32 bytes the hash of all before them.
inline void reseal(Bytes* file) {
  const Sha256 digest = sha256(std::span(*file).first(file->size() - sizeof(Sha256)));
  std::memcpy(file->data() + file->size() - digest.size(), digest.data(), digest.size());
}

inline Bytes seal_artifact(std::string_view index, std::span<const std::byte> streams) {
  const Bytes header = encode(Codec::kBrotli, 1, std::as_bytes(std::span(index)));
  const uint32_t lengths[] = {static_cast<uint32_t>(header.size()), static_cast<uint32_t>(index.size())};
  Bytes file(kArtifactPrefixBytes + header.size() + streams.size() + sizeof(Sha256));
  std::memcpy(file.data(), kArtifactMagic.data(), kArtifactMagic.size());
  std::memcpy(file.data() + 4, &kArtifactVersion, sizeof kArtifactVersion);
  std::memcpy(file.data() + 8, lengths, sizeof lengths);
  std::byte* next = std::copy(header.begin(), header.end(), file.data() + kArtifactPrefixBytes);
  std::copy(streams.begin(), streams.end(), next);
  reseal(&file);
  return file;
}

}  // namespace sixteen::testing
