// The tensors of a PyTorch file of the records under canonical names: state dicts (in banks or not, with the prefixes that
// DDP and torch.compile put before names) and the quantised dictionaries of #1584/#1555, #726 and #754.
//
// Bites: codes and fp16 scales are kept as they are. The records load their tables (kRoundedTables) into bf16 parameters, so those of
// quantised dictionaries are marked to be rounded; a state dict's are kept as stored. Scalars [] become [1].
#pragma once

#include <string>
#include <vector>

#include "formats/artifact.h"
#include "formats/torch_file.h"

namespace sixteen {

struct ImportedTensors {
  std::string form;  // "state dict" or "codes and scales"
  bool quantised = false;
  std::vector<PackedTensor> tensors;  // in no particular order, names not yet compared with any model's

  const PackedTensor* find(const std::string& name) const;
};

// Throws Error (file, entry, expected, found).
ImportedTensors read_torch_tensors(const TorchFile& file);

}  // namespace sixteen
