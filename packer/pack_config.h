// How a checkpoint becomes an artifact: the [pack] section of a config file. Defaults are PR 1584's.
//
// Bites: matrix_*, embedding_* and max_plain_numel describe the four rules that hold when there are no [[pack.rules]]; beside
// such rules they would mean nothing and are refused.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "formats/artifact.h"
#include "formats/config_file.h"
#include "model/calibration.h"
#include "model/params.h"
#include "packer/column_steps.h"
#include "packer/gptq.h"
#include "packer/low_rank.h"
#include "packer/pack_rules.h"

namespace sixteen {

struct PackConfig {
  QuantOptions matrix{.bits = 6, .clip_sigmas = 12.85};
  QuantOptions embedding{.bits = 8, .clip_sigmas = 20.0};
  double damping = 0.01;            // of GPTQ where a rule does not say its own
  int block = 128;                  // likewise
  int64_t max_plain_numel = 65536;  // smaller tensors are stored as fp16, whatever their class
  std::vector<PackRule> rules;      // [[pack.rules]]; empty: the default ones, see rules_of()
  AwqConfig awq;                    // [pack.awq]
  LowRankConfig low_rank;           // [pack.lqer]
  CalibrationConfig calibration;
  int64_t check_windows = 16;       // of a search: the loss before and after
  StreamOptions stream{.codec = Codec::kAuto, .level = 0, .shuffle_stride = 2};
  std::map<std::string, StreamOptions>
      codecs;                       // [pack.codecs.NAME] of single streams (codes2 ... codes8, scales, plain)
  int64_t target_bytes = 16000000;  // decimal; artifact and counted code together
  int threads = 0;                  // of the CPU; 0: all cores. No key of the file, since it decides no bits
};

// train_len: of the model, see read_calibration().
PackConfig read_pack_config(Section section, int64_t train_len, const std::string& where);
void validate(const PackConfig& config, const std::string& where);

// config.rules, or PR 1584's: small tensors and those up to max_plain_numel fp16, embeddings and matrices by GPTQ.
std::vector<PackRule> rules_of(const PackConfig& config);

// Whether some tensor of the table is quantised against a Hessian, so that calibration is needed.
bool needs_hessians(const PackConfig& config, const ModelConfig& model, const ParamTable& table,
                    const std::string& where);

}  // namespace sixteen
