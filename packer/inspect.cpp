// See inspect.h. Artifacts and foreign packed models are in inspect_artifact.cpp.
#include "packer/inspect.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "formats/artifact.h"
#include "formats/error.h"
#include "formats/file.h"
#include "formats/safetensors.h"
#include "formats/sha256.h"
#include "formats/shard.h"
#include "formats/tokenizer.h"
#include "formats/torch_file.h"
#include "packer/inspect_artifact.h"

namespace sixteen {
namespace {

using Json = nlohmann::ordered_json;

Json inspect_safetensors(const std::string& path, const Console& console) {
  const SafetensorsFile file(path);
  Json json{{"kind", "safetensors"}, {"metadata", file.metadata()}, {"tensors", Json::array()}};
  for (const auto& [key, value] : file.metadata()) console.say(key, ": ", value);
  int64_t numel = 0;
  for (const TensorView& t : file.tensors()) {
    const std::string dtype(dtype_name(t.dtype));
    console.say(format("%-40s %14s %6s %12zu", t.name.c_str(), shape_string(t.shape).c_str(), dtype.c_str(), t.bytes.size()));
    json["tensors"].push_back({{"name", t.name}, {"shape", t.shape}, {"dtype", dtype}, {"bytes", t.bytes.size()}});
    numel += t.numel();
  }
  json["elements"] = numel;
  console.say(file.tensors().size(), " tensors, ", numel, " elements");
  return json;
}

Json inspect_shard(const std::string& path, int32_t magic, const Console& console) {
  const TokenShard shard(path, magic);
  const std::span<const uint16_t> tokens = shard.tokens();
  const bool sidecar = magic == kSidecarMagic;
  Json json{{"kind", sidecar ? "byte sidecar" : "token shard"}, {"tokens", tokens.size()}};
  uint64_t bos = 0, sum = 0;
  uint16_t largest = 0;
  for (const uint16_t t : tokens) {
    bos += t == 1 ? 1 : 0;
    sum += t;
    largest = std::max(largest, t);
  }
  console.say(path, ": ", sidecar ? "byte sidecar, " : "token shard, ", tokens.size(), " tokens");
  if (sidecar) {
    json["byte_sum"] = sum;
    console.say("bytes accounted for: ", sum);
  } else {
    json["documents"] = bos;
    json["largest_id"] = largest;
    console.say("documents (BOS = 1): ", bos, ", largest id ", largest);
  }
  return json;
}

Json inspect_tokenizer(const std::string& path, const Console& console) {
  const Tokenizer tokenizer(path);
  const ByteTables tables = tokenizer.byte_tables();
  const int64_t boundaries = std::count(tables.boundary.begin(), tables.boundary.end(), 1);
  const int64_t spaces = std::count(tables.leading_space.begin(), tables.leading_space.end(), 1);
  console.say(path, ": SentencePiece model, ", tokenizer.vocab(), " pieces, BOS ", tokenizer.bos_id(), ", ", boundaries,
              " boundary ids, ", spaces, " pieces with a leading blank");
  return {{"kind", "tokenizer"}, {"vocab", tokenizer.vocab()}, {"bos_id", tokenizer.bos_id()}, {"boundary_ids", boundaries},
          {"leading_space_pieces", spaces}};
}

// The first bytes decide between the formats that have a magic number; safetensors and SentencePiece have none.
Json dispatch(const std::string& path, std::span<const std::byte> bytes, const InspectOptions& options, const Console& console) {
  if (is_artifact(path)) return inspect_artifact(path, options, console);
  int32_t word = 0;
  if (bytes.size() >= sizeof(word)) std::memcpy(&word, bytes.data(), sizeof(word));
  if (word == kShardMagic || word == kSidecarMagic) return inspect_shard(path, word, console);
  const bool header = bytes.size() > 8 && static_cast<char>(bytes[8]) == '{';
  if (header) return inspect_safetensors(path, console);
  try {
    return inspect_tokenizer(path, console);
  } catch (const Error&) {
  }
  Bytes zip;
  try {
    zip = open_torch_container(bytes, path);
  } catch (const Error&) {
    fail(path, ": neither artifact, safetensors, token shard, byte sidecar, SentencePiece model nor a PyTorch file that "
         "'sixteen-pack import' would read");
  }
  return inspect_foreign(TorchFile(std::move(zip), path), bytes.size(), options, console);
}

}  // namespace

Json inspect_file(const std::string& path, const InspectOptions& options, const Console& console) {
  const MappedFile file(path);
  Json json = dispatch(path, file.bytes(), options, console);
  json["path"] = path;
  json["bytes"] = file.bytes().size();
  const std::string digest = to_hex(sha256(file.bytes()));
  json["file_sha256"] = digest;
  console.say(file.bytes().size(), " bytes, SHA-256 of the file ", digest);
  return json;
}

}  // namespace sixteen
