// See calibration.h.
#include "packer/calibration.h"

#include <algorithm>

#include "formats/file.h"
#include "model/shuffled_loader.h"

namespace sixteen {

Hessians collect_hessians(Session* session, const std::string& calib_pattern, const PackConfig& config, const Console& console) {
  const int64_t seq = config.calib_seq_len;
  ShuffledLoader loader(glob_files(calib_pattern), 0, 1, seq, session->config().vocab);
  std::map<std::string, Buffer> buffers;
  Progress progress(console, "calibration", static_cast<uint64_t>(config.calib_windows), "windows");
  std::vector<int32_t> ids, targets;
  int64_t batches = 0;
  for (int64_t done = 0; done < config.calib_windows; ++batches) {
    const int64_t rows = std::min(config.calib_batch, config.calib_windows - done);
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

}  // namespace sixteen
