// Resume state of a training run: one safetensors file with every tensor that the run's next step depends on, and where
// the run stands in its metadata. docs/FORMATS.md lists the keys.
//
// Bites: the state is complete in itself (master weights, averages and moments are tensors of it), because two files
// cannot be replaced in one atomic step; the checkpoint beside it is output, not input, of a resume.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "formats/safetensors.h"

namespace sixteen {

struct TrainProgress {
  int64_t step = 0;                           // steps completed
  double elapsed_ms = 0;                      // training time so far, without validation and pauses; kept to the last bit
  std::string config_hash;                    // SHA-256 in hex of what the next step depends on besides this file
  std::map<std::string, std::string> loader;  // the data loader's own state, by keys of its choice
  std::map<std::string, std::string> trainer = {};  // what else the trainer must know, by keys of its choice
};

// Atomic. Tensor names are the caller's ("param/X", "moment1/X", ...). A progress that the reader would
// refuse (negative step, no 64 lower-case hex digits, time not finite) is a bug (CHECK).
void write_train_state(const std::string& path, const TrainProgress& progress, std::span<const TensorView> tensors);

// The metadata's inverse; throws Error on a missing, unknown or malformed key.
TrainProgress parse_train_progress(const std::map<std::string, std::string>& metadata, const std::string& where);

// The same for a parsed file, whose content must match the hash that it stores.
TrainProgress verify_train_state(std::span<const TensorView> tensors,
                                 const std::map<std::string, std::string>& metadata, const std::string& where);

class TrainStateFile {
 public:
  // Throws Error (path, key, expected, found) on anything but a complete resume state.
  explicit TrainStateFile(const std::string& path);
  const std::string& path() const { return file_.path(); }
  const TrainProgress& progress() const { return progress_; }
  const std::vector<TensorView>& tensors() const { return file_.tensors(); }
  // Throws Error when the tensor is absent or of another type or shape.
  const TensorView& at(const std::string& name, DType dtype, std::span<const int64_t> shape) const;
  // Throws Error naming both hashes when the state belongs to another configuration.
  void check_config(const std::string& config_hash) const;

 private:
  SafetensorsFile file_;
  TrainProgress progress_;
};

}  // namespace sixteen
