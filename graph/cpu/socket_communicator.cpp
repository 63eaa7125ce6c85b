// See socket_communicator.h.
#include "graph/cpu/socket_communicator.h"

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sixteen::cpu {
namespace {

// to[i] = the parts' element i added up in the tree; parts [end - begin].
void add_tree(const std::vector<std::vector<float>>& parts, size_t begin, size_t end, std::vector<float>* to) {
  if (end - begin == 1) {
    *to = parts[begin];
    return;
  }
  const size_t middle = begin + (end - begin) / 2;
  std::vector<float> right;
  add_tree(parts, begin, middle, to);
  add_tree(parts, middle, end, &right);
  for (size_t i = 0; i < to->size(); ++i) (*to)[i] += right[i];
}

std::vector<float> widened(const std::byte* x, size_t count, DType dtype) {
  std::vector<float> values(count);
  if (dtype == DType::kF32) std::memcpy(values.data(), x, count * sizeof(float));
  else
    for (size_t i = 0; i < count; ++i) values[i] = bf16_to_float(reinterpret_cast<const uint16_t*>(x)[i]);
  return values;
}

void narrow(const std::vector<float>& values, std::byte* y, DType dtype) {
  if (dtype == DType::kF32) std::memcpy(y, values.data(), values.size() * sizeof(float));
  else
    for (size_t i = 0; i < values.size(); ++i) reinterpret_cast<uint16_t*>(y)[i] = float_to_bf16(values[i]);
}

class SocketCommunicator final : public Communicator {
 public:
  explicit SocketCommunicator(std::shared_ptr<World> world) : world_(std::move(world)), thread_([this] { work(); }) {}
  ~SocketCommunicator() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
      if (done_ < started_) world_->abandon();  // an exception is leaving collectives behind that others will not come to
    }
    changed_.notify_all();
    thread_.join();
  }

  int rank() const override { return world_->rank(); }
  int size() const override { return world_->size(); }

  Ticket reduce_scatter(const void* x, void* y, int64_t count, DType dtype) override {
    return start([=, this] { sum_own_part(static_cast<const std::byte*>(x), static_cast<std::byte*>(y), static_cast<size_t>(count), dtype); });
  }

  Ticket all_gather(const void* x, void* y, int64_t count, DType dtype) override {
    return start([=, this] { world_->all_gather(x, y, static_cast<size_t>(count) * dtype_bytes(dtype)); });
  }

  Ticket all_reduce(void* x, int64_t count, DType dtype) override {
    return start([=, this] {
      const size_t ranks = static_cast<size_t>(size()), part = (static_cast<size_t>(count) + ranks - 1) / ranks * dtype_bytes(dtype);
      const size_t bytes = static_cast<size_t>(count) * dtype_bytes(dtype);
      std::vector<std::byte> padded(ranks * part), own(part);
      std::memcpy(padded.data(), x, bytes);
      sum_own_part(padded.data(), own.data(), part / dtype_bytes(dtype), dtype);
      world_->all_gather(own.data(), padded.data(), part);
      std::memcpy(x, padded.data(), bytes);
    });
  }

  void wait(Ticket ticket) override {
    Heartbeat& heartbeat = world_->heartbeat();
    const Heartbeat::State before = heartbeat.state();
    heartbeat.set_state(Heartbeat::State::kWaiting);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return done_ > ticket || error_ != nullptr; });
    heartbeat.set_state(before);
    if (error_ != nullptr) std::rethrow_exception(error_);
  }

  void all_gather_host(const void* mine, void* all, size_t bytes) override {
    wait(start([=, this] { world_->all_gather(mine, all, bytes); }));
  }

  void alive() override {
    world_->heartbeat().tick();
    if (world_->heartbeat().lost()) world_->heartbeat().check();
  }

  void set_working(bool working) override {
    world_->heartbeat().set_state(working ? Heartbeat::State::kWorking : Heartbeat::State::kIdle);
  }

 private:
  // x [ranks, count] of every rank -> y [count], the sum over ranks of the own part.
  void sum_own_part(const std::byte* x, std::byte* y, size_t count, DType dtype) {
    const size_t ranks = static_cast<size_t>(size()), bytes = count * dtype_bytes(dtype), self = static_cast<size_t>(rank());
    std::vector<std::vector<std::byte>> received(ranks, std::vector<std::byte>(bytes));
    std::vector<World::Part> out(ranks), in(ranks);
    for (size_t r = 0; r < ranks; ++r) {
      out[r] = {const_cast<std::byte*>(x) + r * bytes, bytes};
      in[r] = {received[r].data(), bytes};
    }
    world_->exchange(out, in);
    std::vector<std::vector<float>> parts(ranks);
    for (size_t r = 0; r < ranks; ++r) parts[r] = widened(r == self ? x + self * bytes : received[r].data(), count, dtype);
    std::vector<float> sum;
    add_tree(parts, 0, ranks, &sum);
    narrow(sum, y, dtype);
  }

  Ticket start(std::function<void()> job) {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    changed_.notify_all();
    return started_++;
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return stop_ || !jobs_.empty(); });
      if (stop_) return;
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      std::exception_ptr error;
      try {
        job();
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      ++done_;
      if (error != nullptr) error_ = error;
      changed_.notify_all();
      if (error_ != nullptr) return;
    }
  }

  std::shared_ptr<World> world_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  Ticket started_ = 0, done_ = 0;
  std::exception_ptr error_;
  bool stop_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace

std::shared_ptr<Communicator> make_socket_communicator(std::shared_ptr<World> world) {
  return std::make_shared<SocketCommunicator>(std::move(world));
}

}  // namespace sixteen::cpu
