// Resume state: metadata keys in and out, everything else is safetensors.
//
// Bites: a flipped bit in a moment would go unnoticed for hours, so the content's hash is stored and verified. The elapsed
// time is printed with 17 significant digits, which gives back every double exactly; it is read with from_chars, which no
// locale can bend.
#include "formats/train_state.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "formats/check.h"
#include "formats/error.h"

namespace sixteen {
namespace {

constexpr const char* kFormat = "sixteen-train-state";
constexpr const char* kVersion = "1";
constexpr std::string_view kLoaderPrefix = "loader.", kTrainerPrefix = "trainer.";
constexpr size_t kHexDigits = 64;

using Metadata = std::map<std::string, std::string>;

bool is_sha256_hex(const std::string& text) {
  return text.size() == kHexDigits && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// The whole text as a non-negative finite number.
template <class Number>
Number take_number(const Metadata& metadata, const char* key, const std::string& where) {
  const std::string& text = metadata.at(key);
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !(number >= 0) ||
      !std::isfinite(static_cast<double>(number))) {
    fail(where, ": metadata ", key, ": expected a non-negative number, found \"", text, "\"");
  }
  return number;
}

void expect_value(const Metadata& metadata, const char* key, const char* expected, const std::string& where) {
  if (metadata.at(key) != expected) {
    fail(where, ": metadata ", key, ": expected \"", expected, "\", found \"", metadata.at(key), "\"");
  }
}

}  // namespace

void write_train_state(const std::string& path, const TrainProgress& progress, std::span<const TensorView> tensors) {
  CHECK(progress.step >= 0 && progress.elapsed_ms >= 0 && std::isfinite(progress.elapsed_ms));
  CHECK(is_sha256_hex(progress.config_hash));
  char elapsed[32];
  std::snprintf(elapsed, sizeof elapsed, "%.17g", progress.elapsed_ms);
  Metadata metadata = {{"format", kFormat},
                       {"format_version", kVersion},
                       {"step", std::to_string(progress.step)},
                       {"elapsed_ms", elapsed},
                       {"config_hash", progress.config_hash}};
  for (const auto& [key, value] : progress.loader) metadata[std::string(kLoaderPrefix) + key] = value;
  for (const auto& [key, value] : progress.trainer) metadata[std::string(kTrainerPrefix) + key] = value;
  metadata["sha256"] = content_hash(tensors, metadata);
  write_safetensors(path, tensors, metadata);
}

TrainProgress parse_train_progress(const Metadata& metadata, const std::string& where) {
  TrainProgress progress;
  for (const char* key : {"format", "format_version", "step", "elapsed_ms", "config_hash", "sha256"}) {
    if (!metadata.contains(key)) fail(where, ": no resume state: metadata ", key, " is missing");
  }
  expect_value(metadata, "format", kFormat, where);
  expect_value(metadata, "format_version", kVersion, where);
  progress.step = take_number<int64_t>(metadata, "step", where);
  progress.elapsed_ms = take_number<double>(metadata, "elapsed_ms", where);
  progress.config_hash = metadata.at("config_hash");
  if (!is_sha256_hex(progress.config_hash)) {
    fail(where, ": metadata config_hash: expected 64 hex digits, found \"", progress.config_hash, "\"");
  }
  for (const auto& [key, value] : metadata) {
    if (key.starts_with(kLoaderPrefix)) progress.loader[key.substr(kLoaderPrefix.size())] = value;
    if (key.starts_with(kTrainerPrefix)) progress.trainer[key.substr(kTrainerPrefix.size())] = value;
  }
  const size_t known = 6 + progress.loader.size() + progress.trainer.size();
  if (metadata.size() != known) fail(where, ": expected ", known, " metadata keys, found ", metadata.size());
  return progress;
}

TrainProgress verify_train_state(std::span<const TensorView> tensors, const Metadata& metadata,
                                 const std::string& where) {
  const TrainProgress progress = parse_train_progress(metadata, where);
  const std::string found = content_hash(tensors, metadata);
  if (found != metadata.at("sha256")) {
    fail(where, ": damaged: expected content SHA-256 ", metadata.at("sha256"), ", found ", found);
  }
  return progress;
}

TrainStateFile::TrainStateFile(const std::string& path)
    : file_(path), progress_(verify_train_state(file_.tensors(), file_.metadata(), path)) {}

const TensorView& TrainStateFile::at(const std::string& name, DType dtype, std::span<const int64_t> shape) const {
  const TensorView& tensor = file_.at(name);
  if (tensor.dtype != dtype || !std::equal(shape.begin(), shape.end(), tensor.shape.begin(), tensor.shape.end())) {
    std::ostringstream expected, found;
    for (const int64_t dim : shape) expected << " " << dim;
    for (const int64_t dim : tensor.shape) found << " " << dim;
    fail(path(), ": tensor ", name, ": expected ", dtype_name(dtype), " [", expected.str(), " ], found ",
         dtype_name(tensor.dtype), " [", found.str(), " ]");
  }
  return tensor;
}

void TrainStateFile::check_config(const std::string& config_hash) const {
  if (progress_.config_hash == config_hash) return;
  fail(path(), ": this resume state belongs to another configuration: expected config hash ", config_hash, ", found ",
       progress_.config_hash, " (use the configuration it was started with, or start anew without --resume)");
}

}  // namespace sixteen
