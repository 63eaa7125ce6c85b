// See inspect.h. Entropy is of order 0: what an ideal coder without context would need for the same symbols.
#include "packer/inspect.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <sstream>

#include "formats/artifact.h"
#include "formats/error.h"
#include "formats/file.h"
#include "formats/safetensors.h"
#include "formats/sha256.h"
#include "formats/shard.h"
#include "formats/tokenizer.h"
#include "packer/pack.h"

namespace sixteen {
namespace {

using Json = nlohmann::ordered_json;

// Bits a symbol.
double entropy(const std::array<uint64_t, 256>& counts) {
  double total = 0, bits = 0;
  for (const uint64_t n : counts) total += static_cast<double>(n);
  for (const uint64_t n : counts) {
    if (n > 0) bits -= static_cast<double>(n) * std::log2(static_cast<double>(n) / total);
  }
  return total > 0 ? bits / total : 0;
}

double entropy_of_bytes(std::span<const std::byte> bytes) {
  std::array<uint64_t, 256> counts{};
  for (const std::byte b : bytes) ++counts[static_cast<uint8_t>(b)];
  return entropy(counts);
}

std::string shape_string(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t d : shape) text += (text.empty() ? "" : " x ") + std::to_string(d);
  return text.empty() ? "scalar" : text;
}

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char text[512];
  std::snprintf(text, sizeof(text), pattern, args...);
  return text;
}

// NUMBER:QUANTISER of every tensor, as pack.h describes it; empty when the artifact does not say, or says it of other tensors.
std::vector<std::string> quantisers_of(const Artifact& artifact) {
  const auto found = artifact.metadata.find(kQuantisersKey);
  if (found == artifact.metadata.end()) return {};
  std::istringstream text(found->second);
  std::vector<std::string> result{std::istream_iterator<std::string>(text), {}};
  return result.size() == artifact.tensors.size() ? result : std::vector<std::string>();
}

std::string kind_of(const PackedTensor& t) {
  const std::string kind = t.bits > 0 ? "int" + std::to_string(t.bits) : std::string(dtype_name(t.plain_dtype));
  return t.round_bf16 ? kind + ":BF16" : kind;
}

// The metadata, rules as a numbered list; who made which tensor stands beside the tensors.
void say_metadata(const Artifact& artifact, const Console& console) {
  for (const auto& [key, value] : artifact.metadata) {
    if (key == kQuantisersKey) continue;
    if (key != kRulesKey) console.say(key, ": ", value);
    if (key != kRulesKey) continue;
    std::istringstream lines(value);
    int number = 0;
    for (std::string line; std::getline(lines, line);) console.say("rule ", ++number, ": ", line);
  }
}

Json artifact_tensors(const Artifact& artifact, const Console& console) {
  Json tensors = Json::array();
  const std::vector<std::string> quantisers = quantisers_of(artifact);
  console.say(format("%-36s %14s %9s %10s %14s %7s", "tensor", "shape", "bits", "raw bytes", "entropy bytes", "share"),
              quantisers.empty() ? "" : "  rule:quantiser");
  double all = 0;
  std::vector<double> sizes;
  for (const PackedTensor& t : artifact.tensors) {
    double ideal = entropy_of_bytes(t.plain) * static_cast<double>(t.plain.size()) / 8;
    ideal += entropy_of_bytes(std::as_bytes(std::span(t.codes))) * static_cast<double>(t.codes.size()) / 8;
    ideal += static_cast<double>(t.scales.size() * sizeof(uint16_t));
    sizes.push_back(ideal);
    all += ideal;
  }
  for (size_t i = 0; i < artifact.tensors.size(); ++i) {
    const PackedTensor& t = artifact.tensors[i];
    const size_t raw = t.codes.size() + t.scales.size() * sizeof(uint16_t) + t.plain.size();
    const std::string bits = kind_of(t);
    console.say(format("%-36s %14s %9s %10zu %14.0f %6.2f%%", t.name.c_str(), shape_string(t.shape).c_str(), bits.c_str(), raw, sizes[i],
                       100 * sizes[i] / all),
                quantisers.empty() ? "" : "  " + quantisers[i]);
    tensors.push_back({{"name", t.name}, {"shape", t.shape}, {"bits", bits}, {"raw_bytes", raw}, {"entropy_bytes", sizes[i]}});
    if (quantisers.empty()) continue;
    const size_t colon = std::min(quantisers[i].find(':'), quantisers[i].size());
    tensors.back()["rule"] = quantisers[i].substr(0, colon);
    tensors.back()["quantiser"] = quantisers[i].substr(std::min(colon + 1, quantisers[i].size()));
  }
  return tensors;
}

Json inspect_artifact(const std::string& path, const Console& console) {
  const Artifact artifact = read_artifact(path);
  Json json{{"kind", "artifact"}, {"bytes", artifact.file_bytes}, {"content_sha256", to_hex(artifact.digest)}};
  json["config"] = Json::parse(artifact.config_json);
  json["metadata"] = artifact.metadata;
  console.say(path, ": artifact, ", artifact.file_bytes, " bytes, content SHA-256 stored in the file ", to_hex(artifact.digest));
  console.say("config ", artifact.config_json);
  say_metadata(artifact, console);
  json["tensors"] = artifact_tensors(artifact, console);
  console.say(format("%-10s %8s %6s %8s %12s %12s %7s", "stream", "codec", "level", "shuffle", "raw bytes", "coded bytes", "share"));
  uint64_t coded = 0;
  for (const StreamInfo& s : artifact.streams) {
    coded += s.coded_bytes;
    const std::string codec(codec_name(s.options.codec));
    console.say(format("%-10s %8s %6d %8d %12llu %12llu %6.2f%%", s.name.c_str(), codec.c_str(), s.options.level, s.options.shuffle_stride,
                       static_cast<unsigned long long>(s.raw_bytes), static_cast<unsigned long long>(s.coded_bytes),
                       100.0 * static_cast<double>(s.coded_bytes) / static_cast<double>(artifact.file_bytes)));
    json["streams"].push_back({{"name", s.name},
                               {"codec", codec},
                               {"level", s.options.level},
                               {"shuffle_stride", s.options.shuffle_stride},
                               {"offset", s.offset},
                               {"raw_bytes", s.raw_bytes},
                               {"coded_bytes", s.coded_bytes}});
  }
  console.say("header, index and hash ", artifact.file_bytes - coded, " bytes");
  return json;
}

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
Json dispatch(const std::string& path, std::span<const std::byte> bytes, const Console& console) {
  if (is_artifact(path)) return inspect_artifact(path, console);
  int32_t word = 0;
  if (bytes.size() >= sizeof(word)) std::memcpy(&word, bytes.data(), sizeof(word));
  if (word == kShardMagic || word == kSidecarMagic) return inspect_shard(path, word, console);
  const bool header = bytes.size() > 8 && static_cast<char>(bytes[8]) == '{';
  if (header) return inspect_safetensors(path, console);
  try {
    return inspect_tokenizer(path, console);
  } catch (const Error&) {
    fail(path, ": neither artifact, safetensors, token shard, byte sidecar nor SentencePiece model; a PyTorch file (.pt, .ptz) is for "
         "'sixteen-pack import'");
  }
}

}  // namespace

Json inspect_file(const std::string& path, const Console& console) {
  const MappedFile file(path);
  Json json = dispatch(path, file.bytes(), console);
  json["path"] = path;
  json["bytes"] = file.bytes().size();
  const std::string digest = to_hex(sha256(file.bytes()));
  json["file_sha256"] = digest;
  console.say(file.bytes().size(), " bytes, SHA-256 of the file ", digest);
  return json;
}

}  // namespace sixteen
