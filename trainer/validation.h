// Validation during training: plain windows over the first validation tokens, in bits per byte.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "formats/tokenizer.h"
#include "model/console.h"
#include "model/score.h"

namespace sixteen {

class Validation {
 public:
  // pattern: validation shards. Throws Error when they hold fewer tokens than one window and its target, or ids beyond
  // vocab, or when the tokenizer's vocabulary is not the model's. max_tokens 0: all.
  Validation(const std::string& pattern, const std::string& tokenizer, int64_t vocab, int64_t seq_len,
             int64_t max_tokens);

  int64_t targets() const { return static_cast<int64_t>(tokens_.size()) - 1; }
  // after_batch may throw to stop.
  ScoreSum run(Session* session, bool looping, const Console& console, const std::function<void()>& after_batch) const;

 private:
  std::vector<uint16_t> tokens_;
  ByteTables tables_;
  std::vector<Window> windows_;
};

}  // namespace sixteen
