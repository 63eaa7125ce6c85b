// How a checkpoint becomes an artifact: the [pack] section of a config file. Defaults are PR 1584's.
#pragma once

#include <cstdint>
#include <string>

#include "formats/artifact.h"
#include "formats/config_file.h"
#include "model/params.h"
#include "packer/gptq.h"

namespace sixteen {

struct PackConfig {
  QuantOptions matrix{.bits = 6, .clip_sigmas = 12.85};
  QuantOptions embedding{.bits = 8, .clip_sigmas = 20.0};
  double damping = 0.01;            // of GPTQ: share of the mean diagonal
  int64_t max_plain_numel = 65536;  // smaller tensors are stored as fp16, whatever their class
  int64_t calib_windows = 3072;     // windows of the training order, from its start
  int64_t calib_batch = 48;         // windows of one forward pass
  int64_t calib_seq_len = 2048;
  StreamOptions stream{.codec = Codec::kBrotli, .level = 11, .shuffle_stride = 2};
  int64_t target_bytes = 16000000;  // decimal; artifact and counted code together
};

PackConfig read_pack_config(Section section, const std::string& where);
void validate(const PackConfig& config, const std::string& where);

}  // namespace sixteen
