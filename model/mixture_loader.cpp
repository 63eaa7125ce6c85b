// See mixture_loader.h.
#include "model/mixture_loader.h"

#include <sstream>

#include "formats/check.h"

namespace sixteen {
namespace {

TrainShards open_shards(std::vector<std::string> files, int64_t seq_len, int64_t vocab) {
  TrainShards shards(std::move(files), vocab);
  shards.require_window(seq_len);
  return shards;
}

}  // namespace

MixtureLoader::MixtureLoader(std::vector<std::string> files, int rank, int world, int64_t seq_len, int64_t vocab,
                             int64_t rows, uint64_t seed, int64_t ramp_batches)
    : WindowLoader(open_shards(std::move(files), seq_len, vocab), seq_len),
      rank_(rank),
      world_(world),
      rows_(rows),
      ramp_batches_(ramp_batches),
      seed_(seed),
      plan_(shards().token_counts(), seq_len, rows * world, world, seed, ramp_batches) {
  CHECK(rank >= 0 && rank < world && rows > 0);
}

TrainWindow MixtureLoader::next_window() {
  if (next_ >= batch_.size()) {
    batch_ = plan_.next();
    next_ = rank_;
  }
  const TrainWindow window = batch_[next_];
  next_ += world_;
  return window;
}

std::string MixtureLoader::order() const {
  std::ostringstream text;
  text << "mixture seed 0x" << std::hex << seed_ << std::dec << " ramp " << ramp_batches_ << " rank " << rank_
       << " world " << world_ << " rows " << rows_;
  return text.str();
}

}  // namespace sixteen
