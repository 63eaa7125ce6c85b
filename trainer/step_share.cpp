// See step_share.h.
#include "trainer/step_share.h"

#include <string>

#include "formats/error.h"

namespace sixteen {
namespace {

std::string divisors(int64_t number) {
  std::string text;
  for (int64_t d = 1; d <= number; ++d) {
    if (number % d == 0) text += (text.empty() ? "" : d == number ? " or " : ", ") + std::to_string(d);
  }
  return text;
}

}  // namespace

StepShare::StepShare(const TrainConfig& config, int rank, int ranks)
    : windows_a_step_(config.windows_per_step), clip_norm_(config.optim.clip_norm) {
  clips_leaves = config.clip_scope == "local" && config.virtual_ranks > 1 && config.optim.clip_norm > 0;
  micro_batches = config.windows_per_step / config.virtual_ranks / config.micro_windows;
  passes_a_leaf = clips_leaves ? micro_batches : 1;
  leaves = config.virtual_ranks * micro_batches / passes_a_leaf;
  if (leaves % ranks != 0) {
    const std::string parts = clips_leaves ? " virtual ranks, each clipped on its own (clip_scope = \"local\")"
                                           : " micro-batches (windows_per_step / micro_windows)";
    fail("[train]: a step has ", leaves, parts, ", which ", ranks, " ranks cannot share evenly; start ", divisors(leaves), " of them");
  }
  mine = GradientTree::share(leaves, rank, ranks);
  const int64_t leaves_a_stream = leaves / config.virtual_ranks;
  streams.first = mine.first / leaves_a_stream;
  streams.count = (mine.first + mine.count - 1) / leaves_a_stream + 1 - streams.first;
}

int64_t StepShare::mean_over() const { return clips_leaves ? windows_a_step_ / leaves : windows_a_step_; }

std::unique_ptr<GradientTree> StepShare::make_tree(Session* session) const {
  auto tree = clips_leaves ? std::make_unique<GradientTree>(session, clip_norm_, 1.0 / static_cast<double>(leaves))
                           : std::make_unique<GradientTree>(session);
  tree->reserve(leaves);
  return tree;
}

}  // namespace sixteen
