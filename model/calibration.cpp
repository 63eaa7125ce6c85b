// See calibration.h.
#include "model/calibration.h"

#include <algorithm>
#include <cmath>

#include "formats/error.h"
#include "formats/file.h"
#include "formats/safetensors.h"
#include "model/checkpoint.h"
#include "model/shuffled_loader.h"

namespace sixteen {
namespace {

constexpr const char* kFormatName = "sixteen hessians";

std::string weights_hash(const ParamStore& weights) { return content_hash(tensor_views(weights), {}); }

}  // namespace

CalibrationConfig read_calibration(Section* pack, int64_t train_len, const std::string& where) {
  CalibrationConfig c{.seq_len = train_len};
  pack->read("calib_windows", &c.windows);
  pack->read("calib_batch", &c.batch);
  pack->read("calib_seq_len", &c.seq_len);
  if (c.windows < 1 || c.batch < 1 || c.seq_len < 1) {
    fail(where, ": [pack] calib_windows, calib_batch, calib_seq_len: expected 1 or more");
  }
  return c;
}

Hessians collect_hessians(Session* session, const std::string& calib_pattern, const CalibrationConfig& config,
                          const Console& console) {
  const int64_t seq = config.seq_len;
  ShuffledLoader loader(glob_files(calib_pattern), 0, 1, seq, session->config().vocab);
  std::map<std::string, Buffer> buffers;
  Progress progress(console, "calibration", static_cast<uint64_t>(config.windows), "windows");
  std::vector<int32_t> ids, targets;
  int64_t batches = 0;
  for (int64_t done = 0; done < config.windows; ++batches) {
    const int64_t rows = std::min(config.batch, config.windows - done);
    ids.resize(static_cast<size_t>(rows * seq));
    targets.resize(ids.size());
    loader.next_batch(rows, ids.data(), targets.data());
    session->calibrate(ids, rows, seq, true, &buffers);
    done += rows;
    progress.update(static_cast<uint64_t>(done));
    stop_if_interrupted();
  }
  progress.finish();
  Hessians hessians;
  for (const auto& [name, buffer] : buffers) {
    std::vector<float>& values = hessians[name];
    values.resize(buffer.bytes() / sizeof(float));
    session->device().download(values.data(), buffer.data(), buffer.bytes());
    for (float& value : values) value /= static_cast<float>(batches);  // the record's scale; GPTQ does not depend on it
  }
  return hessians;
}

const std::vector<float>* hessian_for(const Hessians& hessians, const std::string& name) {
  std::string key = name;
  for (const char* shared : {".attn.c_k.weight", ".attn.c_v.weight"}) {
    const size_t at = name.find(shared);
    if (at != std::string::npos) key = name.substr(0, at) + ".attn.c_q.weight";
  }
  const auto found = hessians.find(key);
  return found == hessians.end() ? nullptr : &found->second;
}

void save_hessians(const std::string& path, const Hessians& hessians, const ParamStore& weights) {
  std::vector<TensorView> tensors;
  for (const auto& [name, values] : hessians) {
    const auto cols = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(values.size()))));
    tensors.push_back({.name = name, .shape = {cols, cols}, .bytes = std::as_bytes(std::span(values))});
  }
  std::map<std::string, std::string> metadata{
      {"format", kFormatName}, {"version", "1"}, {"weights", weights_hash(weights)}};
  metadata["sha256"] = content_hash(tensors, metadata);
  write_safetensors(path, tensors, metadata);
}

Hessians load_hessians(const std::string& path, const ParamStore& weights, const std::string& model) {
  const SafetensorsFile file(path);
  const auto value = [&](const char* key) {
    const auto found = file.metadata().find(key);
    return found == file.metadata().end() ? std::string() : found->second;
  };
  if (value("format") != kFormatName || value("version") != "1") {
    fail(path, ": expected Hessians (metadata \"format\" = \"", kFormatName, "\", version 1), found format \"", value("format"),
         "\", version \"", value("version"), "\"; 'sixteen-train run --hessians' writes them");
  }
  if (content_hash(file.tensors(), file.metadata()) != value("sha256")) {
    fail(path, ": damaged: the content does not have the SHA-256 that its metadata says");
  }
  if (value("weights") != weights_hash(weights)) {
    fail(path, ": collected under other weights than those of ", model, "; take the file that the same run wrote, or --calib");
  }
  Hessians hessians;
  for (const TensorView& tensor : file.tensors()) {
    if (tensor.shape.size() != 2 || tensor.shape[0] != tensor.shape[1]) {
      fail(path, ": tensor ", tensor.name, ": expected a square matrix");
    }
    std::vector<float>& values = hessians[tensor.name];
    values.resize(static_cast<size_t>(tensor.numel()));
    copy_as_float(tensor, values);
  }
  return hessians;
}

}  // namespace sixteen
