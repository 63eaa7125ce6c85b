// A score as a picture: one self-contained HTML file with SVG, no scripts and nothing to load.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "formats/tokenizer.h"
#include "model/windows.h"

namespace sixteen {

struct ScoreReport {
  std::string title;
  std::vector<std::pair<std::string, std::string>> facts;  // shown as a table
};

// bpb along the text in at most 200 stretches, the running mean, and how losses are distributed. `tokens` is the stream; nll
// holds the losses of the windows' scored targets in that order: a target scored twice counts twice, one never scored is
// not there, as in the score itself. Atomic.
void write_report(const std::string& path, const ScoreReport& report, std::span<const uint16_t> tokens,
                  std::span<const Window> windows, std::span<const float> nll, const ByteTables& tables);

}  // namespace sixteen
