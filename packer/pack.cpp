// See pack.h.
#include "packer/pack.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "formats/check.h"
#include "formats/error.h"
#include "formats/file.h"
#include "model/corrections.h"
#include "model/process_clock.h"
#include "packer/quantised_matrix.h"

namespace sixteen {
namespace {

template <class Bits, class Convert, class Back>
Bytes convert(std::span<const float> values, const std::string& name, const char* type, Convert to_bits,
              Back to_float) {
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

bool same(const PackedTensor& a, const PackedTensor& b) {
  return a.name == b.name && a.shape == b.shape && a.bits == b.bits && a.codes == b.codes && a.scales == b.scales &&
         a.plain_dtype == b.plain_dtype && a.plain == b.plain && a.round_bf16 == b.round_bf16 && a.trellis == b.trellis;
}

// Reads `bytes` as the evaluator does: the same tensors, and a config that fits them.
void verify(std::span<const std::byte> bytes, const Artifact& packed, const std::string& where) {
  const Artifact again = parse_artifact(bytes, where);
  bool equal = again.config_json == packed.config_json && again.tensors.size() == packed.tensors.size();
  for (size_t i = 0; equal && i < again.tensors.size(); ++i) equal = same(again.tensors[i], packed.tensors[i]);
  if (!equal) fail(where, ": what was read back differs from what was packed; nothing was written");
  unpack(again, where);
}

// X+steps of model/corrections.h: quarters as codes of scale 1.
PackedTensor steps_tensor(const std::string& name, const std::vector<int8_t>& steps) {
  PackedTensor tensor;
  tensor.name = name + kStepsSuffix;
  tensor.shape = {1, static_cast<int64_t>(steps.size())};
  tensor.bits = bits_of(steps);
  tensor.codes = steps;
  tensor.scales = {float_to_f16(1)};
  return tensor;
}

}  // namespace

std::vector<TensorJob> tensor_jobs(std::span<const PackRule> by_tensor) {
  std::vector<TensorJob> jobs;
  for (size_t i = 0; i < by_tensor.size(); ++i) {
    if (by_tensor[i].bits > 0) jobs.push_back({.tensor = i, .rule = by_tensor[i]});
  }
  return jobs;
}

Artifact assemble(const Model& model, std::span<const PackRule> by_tensor, std::span<const QuantisedTensor> quantised,
                  const PackConfig& config) {
  CHECK(by_tensor.size() == model.table->specs().size());
  Artifact artifact;
  artifact.config_json = to_json(model.config);
  artifact.metadata["producer"] = std::string("sixteen-pack ") + SIXTEEN_VERSION;
  size_t next = 0;
  std::vector<PackedTensor> steps;
  for (size_t i = 0; i < by_tensor.size(); ++i) {
    const ParamSpec& spec = model.table->specs()[i];
    const PackRule& rule = by_tensor[i];
    PackedTensor& t = artifact.tensors.emplace_back();
    t.name = spec.name;
    t.shape = dims(spec.shape);
    t.bits = rule.bits;
    t.round_bf16 = rule.round_bf16;
    if (rule.bits == 0) {
      t.plain_dtype = rule.plain_dtype;
      t.plain = plain_values(model.store.tensor(spec.name), t.name, rule.plain_dtype);
    } else {
      const QuantisedMatrix& matrix = quantised[next++].matrix;
      t.trellis = rule.quantiser == Quantiser::kTcq;
      t.codes = matrix.codes;
      t.scales = matrix.scales;
      if (std::ranges::any_of(matrix.steps, [](int8_t step) { return step != 0; })) {
        t.bits = std::max(rule.bits, bits_of(matrix.codes));
        steps.push_back(steps_tensor(spec.name, matrix.steps));
      }
    }
  }
  CHECK(next == quantised.size());
  std::ranges::move(steps, std::back_inserter(artifact.tensors));
  if (config.low_rank.top > 0) {
    cpu::ThreadPool pool(config.threads);
    add_low_rank(pool, model, config.low_rank, &artifact);
  }
  return artifact;
}

Artifact quantise_model(const Model& model, const Hessians& hessians, const PackConfig& config,
                        const Console& console) {
  const std::vector<PackRule> rules = rules_of(config);
  const std::vector<size_t> assigned = assign_rules(rules, model.config, *model.table, model.path);
  std::vector<PackRule> by_tensor;
  for (const size_t rule : assigned) by_tensor.push_back(rules[rule]);
  ModelQuantiser quantiser(model, hessians, config.threads);
  quantiser.use_steps(promoted_groups(model, hessians, by_tensor, config.awq));
  const std::vector<QuantisedTensor> quantised = quantiser.run(tensor_jobs(by_tensor), console);
  Artifact artifact = assemble(model, by_tensor, quantised, config);
  std::string quantisers;
  bool as_by_default = config.rules.empty();
  size_t next = 0;
  for (size_t i = 0; i < by_tensor.size(); ++i) {
    std::string used = mode_name(by_tensor[i]);
    if (by_tensor[i].bits > 0) {
      const Quantiser quantiser_used = quantised[next++].used;
      used = quantiser_name(quantiser_used);
      as_by_default = as_by_default && quantiser_used == by_tensor[i].quantiser;
    }
    quantisers += (i == 0 ? "" : " ") + std::to_string(assigned[i] + 1) + ":" + used;
  }
  if (!as_by_default) {
    for (const PackRule& rule : rules)
      artifact.metadata[kRulesKey] += (&rule == &rules[0] ? "" : "\n") + describe(rule);
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
    fail(path, ": artifact ", bytes.size(), " + code ", code_bytes, " = ", total, " bytes, over the target of ",
         config.target_bytes, " by ", total - static_cast<uint64_t>(config.target_bytes),
         "; nothing was written. Use fewer bits or a smaller model, or --over-budget");
  }
  verify(bytes, *artifact, path);  // before an older file is replaced
  write_file(path, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  if (std::filesystem::is_regular_file(path)) {  // a pipe cannot be read again
    const MappedFile written(path);
    if (!std::ranges::equal(written.bytes(), bytes))
      fail(path, ": the bytes on disk are not those written; is the disk sound?");
  }
  return {.artifact_bytes = bytes.size(),
          .code_bytes = code_bytes,
          .digest = sha256(bytes),
          .seconds = seconds_since(start)};
}

}  // namespace sixteen
