// The packer's core: a model and its Hessians become an Artifact, and an artifact becomes a file that was read back.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "formats/artifact.h"
#include "model/calibration.h"
#include "model/checkpoint.h"
#include "packer/model_quantiser.h"
#include "packer/pack_config.h"

namespace sixteen {

// Metadata of artifacts that `inspect` shows: the rules, one a line, and for each tensor NUMBER:QUANTISER, blanks between.
// They are left out where there is nothing to tell: default rules, and every Hessian that they ask for.
inline constexpr const char* kRulesKey = "rules";
inline constexpr const char* kQuantisersKey = "quantisers";

// Stores every tensor as its rule (rules_of) says; GPTQ is rounding to nearest where there is no Hessian (tables that are only
// looked up, or none were collected). Throws Error when the rules do not fit the model or a value does not fit its type.
Artifact quantise_model(const Model& model, const Hessians& hessians, const PackConfig& config, const Console& console);

// The two halves of it: by_tensor has a rule for each tensor of the table, quantised is what tensor_jobs() asked for. The
// artifact's metadata names its producer alone. Throws Error when a value does not fit its type.
std::vector<TensorJob> tensor_jobs(std::span<const PackRule> by_tensor);
Artifact assemble(const Model& model, std::span<const PackRule> by_tensor, std::span<const QuantisedTensor> quantised,
                  const PackConfig& config);

struct PackReport {
  uint64_t artifact_bytes = 0, code_bytes = 0;
  Sha256 digest{};  // of the file
  double seconds = 0;
};

// Serialises, checks the size against config.target_bytes, reads the result with the evaluator's reader and compares every
// tensor, writes atomically and compares the bytes on disk. Throws Error (nothing written) when artifact and code are over the target and `over_budget` is false.
PackReport write_verified(Artifact* artifact, const std::string& path, uint64_t code_bytes, const PackConfig& config,
                          bool over_budget);

}  // namespace sixteen
