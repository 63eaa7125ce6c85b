// See calibration.h.
#include "model/calibration.h"

#include <algorithm>
#include <cmath>

#include "formats/error.h"
#include "formats/file.h"
#include "formats/safetensors.h"
#include "model/at_work.h"
#include "model/checkpoint.h"
#include "model/rank_sum.h"
#include "model/shuffled_loader.h"
#include "model/step_program.h"

namespace sixteen {
namespace {

constexpr const char* kFormatName = "sixteen hessians";
constexpr std::string_view kSensitivity = "sensitivity.";  // before the name of a matrix: version 2

// Batches are the leaves' contents: so many leaves at most, the same bits for as many ranks.
constexpr int64_t kLeaves = 8;

using Buffers = std::map<std::string, Buffer>;

int64_t floats_of(const Buffer& buffer) { return static_cast<int64_t>(buffer.bytes() / sizeof(float)); }

// to += from, all matrices at once.
class Adder {
 public:
  explicit Adder(Device* device) : device_(device) {}
  void add(const Buffers& to, const Buffers& from) {
    if (program_ == nullptr) compile(to);
    for (const auto& [name, buffer] : to) {
      program_->bind("to." + name, buffer);
      program_->bind("from." + name, from.at(name));
    }
    program_->enqueue();
  }

 private:
  void compile(const Buffers& like) {
    const float one = 1;
    const Buffer factor = device_->allocate(sizeof one);
    device_->upload(factor.data(), &one, sizeof one);
    Builder b;
    const ValueId by = b.input("one", {1});
    for (const auto& [name, buffer] : like) {
      const Shape shape{floats_of(buffer)};
      b.add_scaled_by(b.state("to." + name, shape), b.input("from." + name, shape), by, 1);
    }
    program_ = std::make_unique<StepProgram>(device_, b.finish(), kNoValue, std::vector<std::pair<std::string, Buffer>>{{"one", factor}});
  }

  Device* device_;
  std::unique_ptr<StepProgram> program_;
};

// One rank's leaves: batch after batch of the windows, of which it runs its own.
class Calibrator {
 public:
  Calibrator(Session* session, const std::string& pattern, const CalibrationConfig& config, const Console& console)
      : session_(session),
        config_(config),
        loader_(glob_files(pattern), 0, 1, config.seq_len, session->config().vocab),
        adder_(&session->device()),
        progress_(console, "calibration", static_cast<uint64_t>(config.windows), "windows") {}

  int64_t batches() const { return (config_.windows + config_.batch - 1) / config_.batch; }

  // Of leaves [begin, end) of `leaves`, up their tree. Ask for them in order.
  Buffers sum(int64_t begin, int64_t end, int64_t leaves) {
    Buffers sums;
    if (end - begin == 1) {
      run(batches() * begin / leaves, batches() * end / leaves, &sums);
      return sums;
    }
    const int64_t middle = begin + (end - begin) / 2;
    sums = sum(begin, middle, leaves);
    adder_.add(sums, sum(middle, end, leaves));
    return sums;
  }

  void finish() { progress_.finish(); }

 private:
  void run(int64_t begin, int64_t end, Buffers* sums) {
    for (; drawn_ < begin; ++drawn_) draw();
    for (; drawn_ < end; ++drawn_) {
      session_->calibrate(ids_, draw(), config_.seq_len, true, sums);
      progress_.update(static_cast<uint64_t>(std::min(config_.windows, (drawn_ + 1) * config_.batch)));
      stop_if_interrupted();
      session_->device().ranks().alive();
    }
  }

  int64_t draw() {  // the next batch's windows
    const int64_t rows = std::min(config_.batch, config_.windows - drawn_ * config_.batch);
    ids_.resize(static_cast<size_t>(rows * config_.seq_len));
    targets_.resize(ids_.size());
    loader_.next_batch(rows, ids_.data(), targets_.data());
    return rows;
  }

  Session* session_;
  CalibrationConfig config_;
  ShuffledLoader loader_;
  Adder adder_;
  Progress progress_;
  std::vector<int32_t> ids_, targets_;
  int64_t drawn_ = 0;
};

std::string weights_hash(const ParamStore& weights) { return content_hash(tensor_views(weights), {}); }

}  // namespace

CalibrationConfig read_calibration(Section* pack, int64_t train_len, const std::string& where) {
  CalibrationConfig c{.seq_len = train_len};
  pack->read("calib_windows", &c.windows);
  pack->read("calib_batch", &c.batch);
  pack->read("calib_seq_len", &c.seq_len);
  pack->read("sensitivity_windows", &c.sensitivity_windows);
  if (c.windows < 1 || c.batch < 1 || c.seq_len < 1 || c.sensitivity_windows < 1) {
    fail(where, ": [pack] calib_windows, calib_batch, calib_seq_len, sensitivity_windows: expected 1 or more");
  }
  return c;
}

Hessians collect_hessians(Session* session, const std::string& calib_pattern, const CalibrationConfig& config,
                          const Console& console) {
  Device& device = session->device();
  const AtWork at_work(device.ranks());
  Calibrator calibrator(session, calib_pattern, config, console);
  const int64_t batches = calibrator.batches(), leaves = sum_leaves(batches, kLeaves);
  const LeafShare own = leaf_share(leaves, device.ranks().rank(), device.ranks().size());
  // A rank without leaves needs buffers as well to take part: it runs the first leaf, which nobody takes from it.
  const Buffers sums = calibrator.sum(own.first, own.first + std::max<int64_t>(own.count, 1), leaves);
  calibrator.finish();
  std::vector<RankSum::Part> parts;
  for (const auto& [name, buffer] : sums) parts.push_back({buffer, floats_of(buffer)});
  RankSum(&device, parts).run(leaves);
  Hessians hessians;
  for (const auto& [name, buffer] : sums) {
    std::vector<float>& values = hessians[name];
    values.resize(static_cast<size_t>(floats_of(buffer)));
    device.download(values.data(), buffer.data(), buffer.bytes());
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

void save_hessians(const std::string& path, const Hessians& hessians, const ParamStore& weights,
                   const Sensitivities& sensitivities) {
  std::vector<TensorView> tensors;
  for (const auto& [name, values] : hessians) {
    const auto cols = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(values.size()))));
    tensors.push_back({.name = name, .shape = {cols, cols}, .bytes = std::as_bytes(std::span(values))});
  }
  for (const auto& [name, values] : sensitivities) {
    tensors.push_back({.name = std::string(kSensitivity) + name,
                       .shape = {static_cast<int64_t>(values.size())},
                       .bytes = std::as_bytes(std::span(values))});
  }
  std::map<std::string, std::string> metadata{
      {"format", kFormatName}, {"version", sensitivities.empty() ? "1" : "2"}, {"weights", weights_hash(weights)}};
  metadata["sha256"] = content_hash(tensors, metadata);
  write_safetensors(path, tensors, metadata);
}

Hessians load_hessians(const std::string& path, const ParamStore& weights, const std::string& model,
                       Sensitivities* sensitivities) {
  const SafetensorsFile file(path);
  const auto value = [&](const char* key) {
    const auto found = file.metadata().find(key);
    return found == file.metadata().end() ? std::string() : found->second;
  };
  if (value("format") != kFormatName || (value("version") != "1" && value("version") != "2")) {
    fail(path, ": expected Hessians (metadata \"format\" = \"", kFormatName, "\", version 1 or 2), found format \"",
         value("format"), "\", version \"", value("version"), "\"; 'sixteen-train run --hessians' writes them");
  }
  if (content_hash(file.tensors(), file.metadata()) != value("sha256")) {
    fail(path, ": damaged: the content does not have the SHA-256 that its metadata says");
  }
  if (value("weights") != weights_hash(weights)) {
    fail(path, ": collected under other weights than those of ", model,
         "; take the file that the same run wrote, or --calib");
  }
  Hessians hessians;
  for (const TensorView& tensor : file.tensors()) {
    if (tensor.name.starts_with(kSensitivity)) {
      const std::string name = tensor.name.substr(kSensitivity.size());
      const ParamSpec* spec = weights.table->find(name);
      if (spec == nullptr || dims(spec->shape).empty() || tensor.shape != std::vector<int64_t>{spec->shape[0]}) {
        fail(path, ": tensor ", tensor.name, ": expected one value for each row of a matrix of the model");
      }
      if (sensitivities == nullptr) continue;
      std::vector<float>& rows = (*sensitivities)[name];
      rows.resize(static_cast<size_t>(tensor.numel()));
      copy_as_float(tensor, rows);
      for (const float row : rows) {
        if (!(row >= 0) || !std::isfinite(row))
          fail(path, ": tensor ", tensor.name, ": ", row, " among its values; expected 0 or more");
      }
      continue;
    }
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
