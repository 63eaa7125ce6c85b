// Digests of a run's state, its files, and the ranges that records speak of (ledger.h).
#include <nlohmann/json.hpp>

#include "evaluator/ledger.h"
#include "formats/error.h"
#include "formats/safetensors.h"
#include "formats/shard.h"

namespace sixteen {
namespace {

std::string digest_of(Device& device, const Buffer& buffer) {
  return to_hex(tree_root(buffer.bytes(), device.leaf_digests(buffer.data(), buffer.bytes())));
}

nlohmann::json file_identity(const std::string& path) {
  const MappedFile file(path);
  return {{"bytes", file.bytes().size()}, {"sha256", to_hex(sha256(file.bytes()))}};
}

// Appends [first, count], or lengthens the last range.
void add_range(nlohmann::json* ranges, int64_t first, int64_t count) {
  if (!ranges->empty() && ranges->back()[0].get<int64_t>() + ranges->back()[1].get<int64_t>() == first) {
    ranges->back()[1] = ranges->back()[1].get<int64_t>() + count;
  } else {
    ranges->push_back({first, count});
  }
}

}  // namespace

ScoredFiles scored_files(const std::string& artifact, const std::string& data, const std::string& tokenizer, int32_t bos) {
  ScoredFiles files{file_identity(artifact), nlohmann::json::array(), file_identity(tokenizer)};
  files.tokenizer["bos"] = bos;
  for (const std::string& path : glob_files(data)) {
    nlohmann::json shard = file_identity(path);
    shard["name"] = path.substr(path.rfind('/') + 1);
    shard["tokens"] = TokenShard(path).tokens().size();
    files.data.push_back(shard);
  }
  return files;
}

nlohmann::json state_digests(ScoreRun* run) {
  nlohmann::json digests = nlohmann::json::object();
  for (const auto& [name, buffer] : run->state()) digests[name] = digest_of(run->session().device(), buffer);
  if (run->tap_in() != nullptr) digests["cache"] = to_hex(run->tap_in()->read_digest());
  return digests;
}

void restore_state(const std::string& path, const nlohmann::json& digests, ScoreRun* run) {
  const SafetensorsFile file(path);
  if (file.tensors().size() != run->state().size()) {
    fail(path, ": expected ", run->state().size(), " tensors, found ", file.tensors().size());
  }
  for (const auto& [name, buffer] : run->state()) {
    const TensorView& tensor = file.at(name);
    if (tensor.dtype != DType::kF32 || tensor.bytes.size() != buffer.bytes()) {
      fail(path, ": offset ", tensor.offset, ": tensor ", name, ": expected ", buffer.bytes(), " bytes of F32, found ", tensor.bytes.size());
    }
    run->session().device().upload(buffer.data(), tensor.bytes.data(), tensor.bytes.size());
    const std::string found = digest_of(run->session().device(), buffer), expected = digests.at(name);
    if (found != expected) fail(path, ": offset ", tensor.offset, ": tensor ", name, ": expected digest ", expected, ", found ", found);
  }
  run->state_changed();
}

nlohmann::json target_ranges(std::span<const Window> windows) {
  nlohmann::json ranges = nlohmann::json::array();
  for (const Window& window : windows) add_range(&ranges, window.first_target(), window.scored);
  return ranges;
}

nlohmann::json trained_ranges(std::span<const int64_t> starts, int64_t window) {
  nlohmann::json ranges = nlohmann::json::array();
  for (const int64_t start : starts) add_range(&ranges, start + 1, window);
  return ranges;
}

}  // namespace sixteen
