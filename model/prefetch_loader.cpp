// See prefetch_loader.h.
#include "model/prefetch_loader.h"

#include <algorithm>
#include <utility>

#include "formats/check.h"

namespace sixteen {

PrefetchLoader::PrefetchLoader(std::unique_ptr<TrainLoader> loader, int64_t rows, int64_t seq_len, int64_t depth)
    : loader_(std::move(loader)),
      rows_(rows),
      seq_len_(seq_len),
      depth_(static_cast<size_t>(depth)),
      state_(loader_->state()) {
  CHECK(rows > 0 && seq_len > 0 && depth > 0);
}

PrefetchLoader::~PrefetchLoader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void PrefetchLoader::restore(const std::string& state) {
  CHECK(!thread_.joinable());
  loader_->restore(state);
  state_ = loader_->state();
}

PrefetchLoader::Batch PrefetchLoader::read() const {
  Batch batch;
  try {
    batch.inputs.resize(static_cast<size_t>(rows_ * seq_len_));
    batch.targets.resize(batch.inputs.size());
    loader_->next_batch(rows_, batch.inputs.data(), batch.targets.data());
    batch.state = loader_->state();
  } catch (...) {
    batch.error = std::current_exception();
  }
  return batch;
}

void PrefetchLoader::read_ahead() {
  for (;;) {
    Batch batch = read();
    const bool last = batch.error != nullptr;
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stop_ || ready_.size() < depth_; });
    if (stop_) return;
    ready_.push_back(std::move(batch));
    changed_.notify_all();
    if (last) return;
  }
}

void PrefetchLoader::next_batch(int64_t rows, int32_t* inputs, int32_t* targets) {
  CHECK(rows == rows_);
  if (!thread_.joinable()) thread_ = std::thread([this] { read_ahead(); });
  Batch batch;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !ready_.empty(); });
    if (ready_.front().error)
      std::rethrow_exception(ready_.front().error);  // stays there: every later call fails alike
    batch = std::move(ready_.front());
    ready_.pop_front();
  }
  changed_.notify_all();
  std::copy(batch.inputs.begin(), batch.inputs.end(), inputs);
  std::copy(batch.targets.begin(), batch.targets.end(), targets);
  state_ = std::move(batch.state);
}

}  // namespace sixteen
