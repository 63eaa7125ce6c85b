// What a training run asks of its data: the next batch, and the place in the data to go on from.
//
// Three orders exist: shuffled_loader.h (PR 1584, PR 1555), stream_loader.h (PR 549, PR 754), mixture_loader.h (PR 726);
// prefetch_loader.h reads ahead of any of them.
// Bites: a loader serves one (virtual) rank; the order of its windows never depends on how batches are cut.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sixteen {

class TrainLoader {
 public:
  virtual ~TrainLoader() = default;

  // inputs, targets: [rows, seq_len] each, the caller's; targets are the tokens one further. Throws Error (file, offset, id)
  // for a token id beyond the vocabulary.
  virtual void next_batch(int64_t rows, int32_t* inputs, int32_t* targets) = 0;

  // The place in the data as one line of text. restore() throws Error when it was saved by another loader, rank, seq_len or
  // data, and may go forwards only: call it on a fresh loader.
  virtual std::string state() const = 0;
  virtual void restore(const std::string& state) = 0;

  virtual const std::vector<std::string>& files() const = 0;  // all training shards, sorted
  virtual int64_t tokens() const = 0;                         // in the shards that this rank reads
};

}  // namespace sixteen
