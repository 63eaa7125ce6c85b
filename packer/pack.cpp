// See pack.h.
#include "packer/pack.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>

#include "formats/error.h"
#include "formats/file.h"
#include "graph/cpu/threads.h"

namespace sixteen {
namespace {

PackedTensor plain_f16(const ParamSpec& spec, std::span<const float> values) {
  PackedTensor t;
  t.name = spec.name;
  t.shape = dims(spec.shape);
  t.plain.resize(values.size() * sizeof(uint16_t));
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = float_to_f16(values[i]);
    if (!std::isfinite(f16_to_float(bits))) {
      fail(spec.name, ": value ", values[i], " at ", i, " does not fit fp16 (largest 65504); was the training run sound?");
    }
    std::memcpy(t.plain.data() + i * sizeof(bits), &bits, sizeof(bits));
  }
  return t;
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

bool same(const PackedTensor& a, const PackedTensor& b) {
  return a.name == b.name && a.shape == b.shape && a.bits == b.bits && a.codes == b.codes && a.scales == b.scales &&
         a.plain_dtype == b.plain_dtype && a.plain == b.plain;
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
  cpu::ThreadPool pool;
  Factors factors(pool, config.damping);
  Artifact artifact;
  artifact.config_json = to_json(model.config);
  artifact.metadata["producer"] = std::string("sixteen-pack ") + SIXTEEN_VERSION;
  Progress progress(console, "quantising", model.table->specs().size(), "tensors");
  for (const ParamSpec& spec : model.table->specs()) {
    const std::span<const float> values = model.store.tensor(spec.name);
    if (spec.quant == QuantClass::kSmall || spec.shape.rank() != 2 || spec.shape.numel() <= config.max_plain_numel) {
      artifact.tensors.push_back(plain_f16(spec, values));
    } else {
      const QuantOptions& options = spec.quant == QuantClass::kEmbedding ? config.embedding : config.matrix;
      const int64_t rows = spec.shape[0], cols = spec.shape[1];
      const std::vector<float>* hessian = hessian_for(hessians, spec.name);
      QuantisedMatrix q = hessian == nullptr ? quantise_nearest(values, rows, cols, options)
                                             : quantise_gptq(pool, values, rows, factors.of(spec.name, hessian, cols), options);
      artifact.tensors.push_back({.name = spec.name,
                                  .shape = dims(spec.shape),
                                  .bits = options.bits,
                                  .codes = std::move(q.codes),
                                  .scales = std::move(q.scales),
                                  .plain = {}});
    }
    progress.update(artifact.tensors.size());
    stop_if_interrupted();
  }
  progress.finish();
  return artifact;
}

PackReport write_verified(Artifact* artifact, const std::string& path, uint64_t code_bytes, const PackConfig& config,
                          bool over_budget) {
  const auto start = std::chrono::steady_clock::now();
  const Bytes bytes = serialise_artifact(artifact, {}, config.stream);
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
          .seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()};
}

}  // namespace sixteen
