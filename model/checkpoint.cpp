// See checkpoint.h.
// Bites: everything is checked before a value is used, and each mismatch is one line with the file in it.
#include "model/checkpoint.h"

#include <cmath>
#include <set>

#include "formats/error.h"
#include "model/corrections.h"

namespace sixteen {

std::vector<int64_t> dims(const Shape& shape) {
  std::vector<int64_t> result;
  for (int i = 0; i < shape.rank(); ++i) result.push_back(shape[i]);
  return result;
}

namespace {

constexpr const char* kFormatName = "sixteen checkpoint";
constexpr const char* kVersion = "1";
constexpr const char* kHashKey = "sha256";  // of the content, see safetensors.h

std::string shape_string(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

// Compares the tensors' names and shapes with the table; `where` is the file.
void check_tensors(const std::vector<TensorView>& tensors, const ParamTable& table, const std::string& where) {
  std::set<std::string> found;
  for (const TensorView& tensor : tensors) {
    const ParamSpec* spec = table.find(tensor.name);
    if (spec == nullptr)
      fail(where, ": tensor ", tensor.name, " is not part of the model that the file's config describes");
    if (!found.insert(tensor.name).second) fail(where, ": tensor ", tensor.name, " is there twice");
    if (tensor.shape != dims(spec->shape)) {
      fail(where, ": tensor ", tensor.name, ": the config asks for shape ", spec->shape.string(), ", found ",
           shape_string(tensor.shape));
    }
  }
  for (const ParamSpec& spec : table.specs()) {
    if (found.count(spec.name) == 0) fail(where, ": tensor ", spec.name, " ", spec.shape.string(), " is missing");
  }
}

void check_finite(std::span<const float> values, const std::string& name, const std::string& where) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      fail(where, ": tensor ", name, ": element ", i, " is ", values[i],
           "; the model is damaged or its training diverged");
    }
  }
}

// A record's own file is an easy mistake, and Brotli has no magic to know it by.
SafetensorsFile open_checkpoint(const std::string& path) {
  try {
    return SafetensorsFile(path);
  } catch (const Error& error) {
    if (!path.ends_with(".pt") && !path.ends_with(".ptz")) throw;
    fail(error.what(), "; of a PyTorch file 'sixteen-pack import' makes a checkpoint or an artifact");
  }
}

const std::string& metadata_value(const SafetensorsFile& file, const std::string& key) {
  const auto it = file.metadata().find(key);
  if (it == file.metadata().end()) {
    fail(file.path(), ": metadata has no \"", key, "\", so this is no checkpoint of sixteen; 'sixteen-train run' writes those");
  }
  return it->second;
}

// A file without the hash is taken as it is: other programs may write checkpoints too.
void check_content(const SafetensorsFile& file) {
  const auto stored = file.metadata().find(kHashKey);
  if (stored == file.metadata().end()) return;
  const std::string found = content_hash(file.tensors(), file.metadata());
  if (found != stored->second) {
    fail(file.path(), ": damaged: metadata says content SHA-256 ", stored->second, ", found ", found,
         " (if it was changed on purpose, remove the key \"", kHashKey, "\")");
  }
}

// Tensors are compared with the config before memory is taken for what it claims.
Model empty_model(const std::string& config_json, const std::vector<TensorView>& tensors, const std::string& where) {
  const ModelConfig config = parse_model_json(config_json, where);
  const auto table = std::make_shared<const ParamTable>(config);
  check_tensors(tensors, *table, where);
  return {.config = config, .table = table, .store = ParamStore(table), .path = where};
}

}  // namespace

// uncounted: begin
std::vector<TensorView> tensor_views(const ParamStore& store) {
  std::vector<TensorView> tensors;
  for (const ParamSpec& spec : store.table->specs()) {
    tensors.push_back({.name = spec.name, .shape = dims(spec.shape), .bytes = std::as_bytes(store.tensor(spec.name))});
  }
  return tensors;
}

void save_checkpoint(const std::string& path, const ModelConfig& config, const ParamStore& store,
                     const std::map<std::string, std::string>& extra) {
  const std::vector<TensorView> tensors = tensor_views(store);
  std::map<std::string, std::string> metadata = extra;
  metadata["format"] = kFormatName;
  metadata["version"] = kVersion;
  metadata["model"] = to_json(config);
  metadata[kHashKey] = content_hash(tensors, metadata);
  write_safetensors(path, tensors, metadata);
}
// uncounted: end

Model load_checkpoint(const std::string& path) {
  const SafetensorsFile file = open_checkpoint(path);
  if (const std::string& format = metadata_value(file, "format"); format != kFormatName) {
    fail(path, ": metadata says format \"", format, "\", expected \"", kFormatName, "\"");
  }
  if (const std::string& version = metadata_value(file, "version"); version != kVersion) {
    fail(path, ": checkpoint version ", version, ", this program reads version ", kVersion);
  }
  check_content(file);
  Model model = empty_model(metadata_value(file, "model"), file.tensors(), path);
  for (const TensorView& tensor : file.tensors()) {
    if (tensor.dtype != DType::kF32 && tensor.dtype != DType::kF16 && tensor.dtype != DType::kBF16) {
      fail(path, ": tensor ", tensor.name, ": expected F32, BF16 or F16, found ", dtype_name(tensor.dtype));
    }
    const std::span<float> values = model.store.tensor(tensor.name);
    copy_as_float(tensor, values);
    check_finite(values, tensor.name, path);
  }
  const MappedFile bytes(path);
  model.file_bytes = bytes.bytes().size();
  model.digest = sha256(bytes.bytes());
  return model;
}

Model load_artifact_model(const std::string& path) {
  const MappedFile file(path);
  Model model = unpack(parse_artifact(file.bytes(), path), path);
  model.digest = sha256(file.bytes());
  return model;
}

Model unpack(const Artifact& artifact, const std::string& where) {
  const std::vector<const PackedTensor*> tensors = corrected_tensors(artifact, where);
  std::vector<TensorView> shapes;
  for (const PackedTensor* tensor : tensors) shapes.push_back({.name = tensor->name, .shape = tensor->shape, .bytes = {}});
  Model model = empty_model(artifact.config_json, shapes, where);
  for (const PackedTensor* tensor : tensors) {
    const std::vector<float> values = corrected_values(artifact, *tensor);
    check_finite(values, tensor->name, where);
    std::copy(values.begin(), values.end(), model.store.tensor(tensor->name).begin());
  }
  model.packed = true;
  model.file_bytes = artifact.file_bytes;
  return model;
}

Model load_model(const std::string& path) {
  return is_artifact(path) ? load_artifact_model(path) : load_checkpoint(path);
}

}  // namespace sixteen
