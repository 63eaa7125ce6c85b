// Import: PyTorch checkpoints and packed artifacts of the records as ours.
#pragma once

#include <string>

#include "formats/artifact.h"
#include "model/checkpoint.h"
#include "packer/import_config.h"

namespace sixteen {

struct Imported {
  Artifact artifact;  // tensors in table order: codes and scales as in the file, everything else plain
  Model model;        // the same dequantised, as the record loads it
  SettledConfig settled;
  std::string form;   // what the file is: "state dict", "codes and scales"
  bool quantised = false;
};

// Throws Error naming file and tensor for anything malformed, missing, left over, of another shape or not finite.
Imported import_torch(const std::string& path, const ImportSettings& settings);

}  // namespace sixteen
