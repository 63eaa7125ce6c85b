// Models on disk: fp32 safetensors checkpoints with the config in their metadata, and .s16 artifacts, both into a ParamStore.
//
// Bites: every tensor of the parameter table must be there with its shape, no other may be, and every value must be finite;
// otherwise Error names the file, the tensor, what was expected and found.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "formats/artifact.h"
#include "formats/safetensors.h"
#include "formats/sha256.h"
#include "model/config.h"
#include "model/params.h"

namespace sixteen {

// A shape as files list it.
std::vector<int64_t> dims(const Shape& shape);

struct Model {
  ModelConfig config;
  std::shared_ptr<const ParamTable> table;
  ParamStore store;
  std::string path;
  bool packed = false;      // from an artifact
  uint64_t file_bytes = 0;
  Sha256 digest{};          // of the file; zeros when unpacked from memory
};

// Every tensor in table order, fp32, as views of `store`.
std::vector<TensorView> tensor_views(const ParamStore& store);

// Metadata keys: "format" = "sixteen checkpoint", "version" = "1", "model" = config JSON, "sha256" = content_hash() of the file
// (verified by the reader when it is there), plus `extra`.
void save_checkpoint(const std::string& path, const ModelConfig& config, const ParamStore& store,
                     const std::map<std::string, std::string>& extra = {});
Model load_checkpoint(const std::string& path);
Model load_artifact_model(const std::string& path);
Model unpack(const Artifact& artifact, const std::string& where);  // dequantised
Model load_model(const std::string& path);                         // either, told apart by the file's first bytes

}  // namespace sixteen
