// A score as a picture: one self-contained HTML file with SVG, no scripts and nothing to load.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "formats/tokenizer.h"

namespace sixteen {

struct ScoreReport {
  std::string title;
  std::vector<std::pair<std::string, std::string>> facts;  // shown as a table
};

// bpb along the text in `nll.size() / kBuckets` stretches, the running mean, and how losses are distributed. `tokens` is the
// stream; nll[i] belongs to target i + 1. Atomic.
void write_report(const std::string& path, const ScoreReport& report, std::span<const uint16_t> tokens, std::span<const float> nll,
                  const ByteTables& tables);

}  // namespace sixteen
