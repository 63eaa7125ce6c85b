// The .s16z file: token shards as the code that a model's own distributions give them. docs/FORMATS.md has it byte by byte.
//
// The header is kept small, because it counts against the score that the file proves: digests are cut to 4 and 8 bytes (they
// recognise, they do not authenticate: who proves something compares the rebuilt shards with his own), and settings that have their default
// are left out. What a setting's number means is evaluator/proof_method.h's.
// Bites: a shard's name comes out of a file that anyone may have written, so it is a plain file name or refused. Reader and
// writer hold the whole file in memory.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "formats/codec.h"
#include "formats/sha256.h"

namespace sixteen {

constexpr int64_t kMaxProofTokens = int64_t{1} << 28;  // of all shards: 512 MiB in memory
constexpr size_t kMaxProofShards = 4096;

using ArtifactTag = std::array<uint8_t, 4>;  // the first bytes of a SHA-256
using TextDigest = std::array<uint8_t, 8>;
ArtifactTag artifact_tag(const Sha256& digest);
TextDigest digest_tokens(std::span<const uint16_t> tokens);  // of their bytes as shards have them

struct ProofShard {
  std::string name;    // of the file, without folder and without ".bin"
  int64_t tokens = 0;
};

struct ProofSetting {
  int tag = 0;         // 1 .. 127, ascending in a file
  std::variant<int64_t, double> value;
};

struct ProofFile {
  ArtifactTag artifact{};             // of the model's file
  TextDigest text{};                 // of all tokens, shard after shard
  std::vector<ProofShard> shards;     // in order; at least one
  uint16_t first_token = 0;           // of the text: it is no target
  std::vector<ProofSetting> settings;
  std::vector<int64_t> sampled;       // chunks that are coded, ascending; empty: all
  Bytes code;

  int64_t tokens() const;
};

Bytes serialise_proof(const ProofFile& proof);

// Throws Error (where, offset, expected, found) on any damage.
ProofFile parse_proof(std::span<const std::byte> file, const std::string& where);

}  // namespace sixteen
