// Host memory and the pool behind the CPU device.
#include "graph/cpu/cpu_device.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "formats/check.h"
#include "formats/error.h"
#include "graph/cpu/cpu_executor.h"
#include "graph/cpu/gemm.h"
// uncounted: begin
#include "graph/cpu/socket_communicator.h"
#include "graph/world.h"
// uncounted: end

namespace sixteen::cpu {
namespace {

constexpr size_t kAlignment = 256;

// Nothing runs beside a copy here: each is done at once.
class HostTransfer : public Transfer {
 public:
  explicit HostTransfer(size_t bytes) : memory_(bytes) {}
  std::byte* host() override { return memory_.data(); }
  void send(size_t bytes) override { sent_ = bytes; }
  void deliver(void* to) override { std::memcpy(to, memory_.data(), sent_); }
  void fetch(const void* from, size_t bytes) override { std::memcpy(memory_.data(), from, bytes); }
  void wait() override {}

 private:
  std::vector<std::byte> memory_;
  size_t sent_ = 0;
};

class CpuDevice : public Device {
 public:
  CpuDevice(int threads, std::shared_ptr<Communicator> ranks)
      : pool_(std::make_shared<ThreadPool>(threads)), ranks_(std::move(ranks)) {}

  std::string name() const override {
    return std::string("cpu ") + isa_name() + " " + std::to_string(pool_->threads()) + " threads";
  }

  bool portable_arithmetic() const override { return true; }

  Buffer allocate(size_t bytes) override {
    const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    auto* data = static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded == 0 ? kAlignment : rounded));
    if (data == nullptr) fail("out of memory: ", bytes, " bytes wanted; use fewer windows a batch or a smaller model");
    std::memset(data, 0, rounded);
    return Buffer(std::shared_ptr<std::byte>(data, [](std::byte* p) { std::free(p); }), bytes);
  }

  void upload(void* device, const void* host, size_t bytes) override { std::memcpy(device, host, bytes); }
  void download(void* host, const void* device, size_t bytes) override { std::memcpy(host, device, bytes); }

  std::unique_ptr<Transfer> make_transfer(size_t bytes) override { return std::make_unique<HostTransfer>(bytes); }

  std::vector<Sha256> leaf_digests(const void* device, size_t bytes) override {
    std::vector<Sha256> leaves(leaf_count(bytes));
    const auto* data = static_cast<const std::byte*>(device);
    pool_->parallel_for(static_cast<int64_t>(leaves.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const size_t from = static_cast<size_t>(i) * kLeafBytes;
        leaves[i] = sha256({data + from, std::min(kLeafBytes, bytes - from)});
      }
    });
    return leaves;
  }

  std::unique_ptr<Executor> compile(const Graph& graph, const Plan& plan, Buffer arena) override {
    return std::make_unique<CpuExecutor>(pool_, ranks_, graph, plan, std::move(arena));
  }

  Communicator& ranks() override { return *ranks_; }

 private:
  std::shared_ptr<ThreadPool> pool_;
  std::shared_ptr<Communicator> ranks_;
};

// uncounted: begin
int share_of_cores(int threads, const World& world) {
  const Place& place = world.place();
  if (threads != 0 || (place.launcher != "--gpus" && place.launcher != "torchrun")) return threads;
  return std::max(1, ThreadPool(0).threads() / place.local_size);
}
// uncounted: end

}  // namespace

std::unique_ptr<Device> make_cpu_device(int threads, std::shared_ptr<World> world) {
  // uncounted: begin
  if (world != nullptr) return std::make_unique<CpuDevice>(share_of_cores(threads, *world), make_socket_communicator(world));
  // uncounted: end
  CHECK(world == nullptr);
  return std::make_unique<CpuDevice>(threads, std::make_shared<Alone>());
}

}  // namespace sixteen::cpu
