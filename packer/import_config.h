// The model config that imported tensors need: sizes come from their shapes, what leaves no trace there from a record's published
// settings or a config file. Without either the record is guessed from names, and so is which features it has on.
//
// Bites: pr754 and pr754-first (ln_scale), and loop ranges, lanes and RoPE of any two systems, look the same from outside. What was
// assumed is returned, to be shown.
#pragma once

#include <string>
#include <vector>

#include "model/config.h"
#include "packer/import_tensors.h"

namespace sixteen {

// What the user said. At most one of system and config_path.
struct ImportSettings {
  std::string system;             // pr726, pr754, pr754-first, pr1555, pr1584
  std::string config_path;        // TOML file with [model]
  std::vector<std::string> sets;  // "rope.dims=4": a key of [model] and its value, as JSON
};

struct SettledConfig {
  ModelConfig config;   // validated
  std::string source;   // where settings came from: "C.toml", "the settings of pr726"
  std::string assumed;  // "rope.dims = 16, ..."; empty when nothing was
};

// The [model] of a record's published run (configs/NAME.toml). Throws UsageError for an unknown name.
ModelConfig published_model(const std::string& system);

// Throws Error when a tensor that shapes are read from is missing, or sizes and settings do not fit together.
SettledConfig settle_config(const ImportedTensors& imported, const ImportSettings& settings, const std::string& where);

}  // namespace sixteen
