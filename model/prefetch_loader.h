// Reads ahead of another loader in a thread of its own, so that a step does not wait for the disk.
//
// The batches, the error at its batch, and state() are those that the other loader would have given without it.
// Bites: all batches have the same number of rows. The thread starts at the first next_batch(), so restore() comes before.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

#include "model/train_loader.h"

namespace sixteen {

class PrefetchLoader : public TrainLoader {
 public:
  // depth >= 1: batches that may wait.
  PrefetchLoader(std::unique_ptr<TrainLoader> loader, int64_t rows, int64_t seq_len, int64_t depth);
  ~PrefetchLoader() override;  // waits for at most one batch

  void next_batch(int64_t rows, int32_t* inputs, int32_t* targets) override;  // CHECKs rows
  std::string state() const override { return state_; }                       // of the batches handed out
  void restore(const std::string& state) override;
  const std::vector<std::string>& files() const override { return loader_->files(); }
  int64_t tokens() const override { return loader_->tokens(); }

 private:
  struct Batch {
    std::vector<int32_t> inputs, targets;
    std::string state;         // of the loader behind this batch
    std::exception_ptr error;  // instead of a batch; the last one of its queue
  };
  Batch read() const;
  void read_ahead();

  std::unique_ptr<TrainLoader> loader_;  // the thread's own once it runs
  int64_t rows_, seq_len_;
  size_t depth_;
  std::string state_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> ready_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace sixteen
