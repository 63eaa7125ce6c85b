// Host memory and the pool behind the CPU device.
#include "graph/cpu/cpu_device.h"

#include <cstdlib>
#include <cstring>

#include "formats/error.h"
#include "graph/cpu/cpu_executor.h"
#include "graph/cpu/gemm.h"

namespace sixteen::cpu {
namespace {

constexpr size_t kAlignment = 256;

class CpuDevice : public Device {
 public:
  explicit CpuDevice(int threads) : pool_(std::make_shared<ThreadPool>(threads)) {}

  std::string name() const override {
    return std::string("cpu ") + isa_name() + " " + std::to_string(pool_->threads()) + " threads";
  }

  Buffer allocate(size_t bytes) override {
    const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    auto* data = static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded == 0 ? kAlignment : rounded));
    if (data == nullptr) fail("out of memory: ", bytes, " bytes wanted; use fewer windows a batch or a smaller model");
    std::memset(data, 0, rounded);
    return Buffer(std::shared_ptr<std::byte>(data, [](std::byte* p) { std::free(p); }), bytes);
  }

  void upload(void* device, const void* host, size_t bytes) override { std::memcpy(device, host, bytes); }
  void download(void* host, const void* device, size_t bytes) override { std::memcpy(host, device, bytes); }

  std::unique_ptr<Executor> compile(const Graph& graph, const Plan& plan, Buffer arena) override {
    return std::make_unique<CpuExecutor>(pool_, graph, plan, std::move(arena));
  }

 private:
  std::shared_ptr<ThreadPool> pool_;
};

}  // namespace

std::unique_ptr<Device> make_cpu_device(int threads) { return std::make_unique<CpuDevice>(threads); }

}  // namespace sixteen::cpu
