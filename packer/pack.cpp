// See pack.h.
#include "packer/pack.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>

#include "formats/check.h"
#include "formats/error.h"
#include "formats/file.h"
#include "graph/cpu/threads.h"
#include "model/process_clock.h"
#include "packer/clip_search.h"

namespace sixteen {
namespace {

constexpr double kRowQuantile = 0.9999984;  // of #726's int8

template <class Bits, class Convert, class Back>
Bytes convert(std::span<const float> values, const std::string& name, const char* type, Convert to_bits, Back to_float) {
  Bytes bytes(values.size() * sizeof(Bits));
  for (size_t i = 0; i < values.size(); ++i) {
    const Bits bits = to_bits(values[i]);
    if (!std::isfinite(to_float(bits))) {
      fail(name, ": value ", values[i], " at ", i, " does not fit ", type, "; was the training run sound?");
    }
    std::memcpy(bytes.data() + i * sizeof(bits), &bits, sizeof(bits));
  }
  return bytes;
}

Bytes plain_values(std::span<const float> values, const std::string& name, DType dtype) {
  if (dtype == DType::kF16) {
    return convert<uint16_t>(values, name, "fp16 (largest 65504)", float_to_f16, f16_to_float);
  }
  if (dtype == DType::kBF16) return convert<uint16_t>(values, name, "bf16", float_to_bf16, bf16_to_float);
  const auto same = [](float value) { return value; };
  return convert<float>(values, name, "fp32", same, same);
}

// Factors of Hessians, the last one kept: c_q, c_k and c_v stand apart in the table, so all are remembered by address.
class Factors {
 public:
  Factors(cpu::ThreadPool& pool, double damping) : pool_(pool), damping_(damping) {}
  const GptqFactor& of(const std::string& name, const std::vector<float>* hessian, int64_t cols) {
    std::unique_ptr<GptqFactor>& slot = factors_[hessian];
    if (slot == nullptr) slot = std::make_unique<GptqFactor>(factorise_hessian(pool_, name, *hessian, cols, damping_));
    return *slot;
  }

 private:
  cpu::ThreadPool& pool_;
  double damping_;
  std::map<const std::vector<float>*, std::unique_ptr<GptqFactor>> factors_;
};

// The matrix's codes and scales; *used names the quantiser that made them.
QuantisedMatrix quantise(cpu::ThreadPool& pool, Factors& factors, const Hessians& hessians, const ParamSpec& spec,
                         std::span<const float> values, const PackRule& rule, Quantiser* used) {
  const int64_t rows = spec.shape[0], cols = spec.shape[1];
  const QuantOptions sigmas{.bits = rule.bits, .clip_sigmas = rule.clip_sigmas};
  ClipOptions clips{.bits = rule.bits, .min_clip = rule.min_clip};
  if (rule.quantiser == Quantiser::kRowQuantile) clips.percentiles = {kRowQuantile};
  if (!rule.percentiles.empty()) clips.percentiles = rule.percentiles;
  const std::vector<float>* hessian = hessian_for(hessians, spec.name);
  *used = rule.quantiser == Quantiser::kGptq && hessian == nullptr ? Quantiser::kNearest : rule.quantiser;
  switch (*used) {
    case Quantiser::kGptq: return quantise_gptq(pool, values, rows, factors.of(spec.name, hessian, cols), sigmas);
    case Quantiser::kNearest: return quantise_nearest(values, rows, cols, sigmas);
    case Quantiser::kClipMatrix: return quantise_clip_matrix(pool, values, rows, cols, clips);
    case Quantiser::kClipRow:
    case Quantiser::kRowQuantile: return quantise_clip_row(pool, values, rows, cols, clips);
  }
  CHECK(false);
}

bool same(const PackedTensor& a, const PackedTensor& b) {
  return a.name == b.name && a.shape == b.shape && a.bits == b.bits && a.codes == b.codes && a.scales == b.scales &&
         a.plain_dtype == b.plain_dtype && a.plain == b.plain && a.round_bf16 == b.round_bf16;
}

// Reads `bytes` as the evaluator does: the same tensors, and a config that fits them.
void verify(std::span<const std::byte> bytes, const Artifact& packed, const std::string& where) {
  const Artifact again = parse_artifact(bytes, where);
  bool equal = again.config_json == packed.config_json && again.tensors.size() == packed.tensors.size();
  for (size_t i = 0; equal && i < again.tensors.size(); ++i) equal = same(again.tensors[i], packed.tensors[i]);
  if (!equal) fail(where, ": what was read back differs from what was packed; nothing was written");
  unpack(again, where);
}

}  // namespace

Artifact quantise_model(const Model& model, const Hessians& hessians, const PackConfig& config, const Console& console) {
  const std::vector<ParamSpec>& specs = model.table->specs();
  const std::vector<PackRule> rules = rules_of(config);
  const std::vector<size_t> assigned = assign_rules(rules, *model.table, model.path);
  cpu::ThreadPool pool;
  Factors factors(pool, config.damping);
  Artifact artifact;
  artifact.config_json = to_json(model.config);
  artifact.metadata["producer"] = std::string("sixteen-pack ") + SIXTEEN_VERSION;
  Progress progress(console, "quantising", specs.size(), "tensors");
  std::string quantisers;
  bool as_by_default = config.rules.empty();
  for (size_t i = 0; i < specs.size(); ++i) {
    const std::span<const float> values = model.store.tensor(specs[i].name);
    const PackRule& rule = rules[assigned[i]];
    PackedTensor& t = artifact.tensors.emplace_back();
    t.name = specs[i].name;
    t.shape = dims(specs[i].shape);
    t.bits = rule.bits;
    t.round_bf16 = rule.round_bf16;
    std::string quantiser = mode_name(rule);
    if (rule.bits == 0) {
      t.plain_dtype = rule.plain_dtype;
      t.plain = plain_values(values, t.name, rule.plain_dtype);
    } else {
      Quantiser used;
      QuantisedMatrix q = quantise(pool, factors, hessians, specs[i], values, rule, &used);
      t.codes = std::move(q.codes);
      t.scales = std::move(q.scales);
      quantiser = quantiser_name(used);
      as_by_default = as_by_default && used == rule.quantiser;
    }
    quantisers += (i == 0 ? "" : " ") + std::to_string(assigned[i] + 1) + ":" + quantiser;
    progress.update(artifact.tensors.size());
    stop_if_interrupted();
  }
  progress.finish();
  if (!as_by_default) {
    for (const PackRule& rule : rules) artifact.metadata[kRulesKey] += (&rule == &rules[0] ? "" : "\n") + describe(rule);
    artifact.metadata[kQuantisersKey] = quantisers;
  }
  return artifact;
}

PackReport write_verified(Artifact* artifact, const std::string& path, uint64_t code_bytes, const PackConfig& config,
                          bool over_budget) {
  const auto start = std::chrono::steady_clock::now();
  const Bytes bytes = serialise_artifact(artifact, config.codecs, config.stream);
  const uint64_t total = bytes.size() + code_bytes;
  if (total > static_cast<uint64_t>(config.target_bytes) && !over_budget) {
    fail(path, ": artifact ", bytes.size(), " + code ", code_bytes, " = ", total, " bytes, over the target of ", config.target_bytes,
         " by ", total - static_cast<uint64_t>(config.target_bytes), "; nothing was written. Use fewer bits or a smaller model, or --over-budget");
  }
  verify(bytes, *artifact, path);  // before an older file is replaced
  write_file(path, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  if (std::filesystem::is_regular_file(path)) {  // a pipe cannot be read again
    const MappedFile written(path);
    if (!std::ranges::equal(written.bytes(), bytes)) fail(path, ": the bytes on disk are not those written; is the disk sound?");
  }
  return {.artifact_bytes = bytes.size(),
          .code_bytes = code_bytes,
          .digest = sha256(bytes),
          .seconds = seconds_since(start)};
}

}  // namespace sixteen
