// A training log of the challenge's scripts as numbers (legality 6.3): the baseline's lines and those of the late stack.
//
// Bites: logs have no format; a number is found by the words before it, and the last one counts. What is not there stays empty.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sixteen {

struct LoggedScore {
  std::string label;          // "quantized_ttt_phased", "final_int8_zlib_roundtrip_exact", ...
  double loss = 0, bpb = 0;   // nats a token, bits a byte
  int decimals = 0;           // of bpb
};

struct RecordLog {
  std::string path;
  std::vector<std::string> lines;
  std::map<std::string, std::string> settings;  // lines "name: value" before training: the dump of hyper-parameters
  std::vector<LoggedScore> scores;              // labelled ones, not those of training steps; the last is the claim
  std::optional<int64_t> seed, model_bytes, code_bytes, total_bytes, val_tokens, train_shards, steps;
  std::optional<double> train_ms, step_ms, hessian_s, eval_ms;
  std::optional<int64_t> within_gate, word_gate;
};

// Throws Error when the file cannot be read.
RecordLog read_record_log(const std::string& path);

}  // namespace sixteen
