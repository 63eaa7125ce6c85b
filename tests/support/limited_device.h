// The CPU with so much memory and no more, and with matrix products to choose from: what a card says, without a card.
#pragma once

#include "graph/executor.h"

namespace sixteen::testing {

class LimitedDevice : public Device {
 public:
  explicit LimitedDevice(int64_t free_bytes, int64_t scratch = 0) : free_(free_bytes), scratch_(scratch) {}

  std::string name() const override { return "card"; }
  Buffer allocate(size_t bytes) override {
    allocated += static_cast<int64_t>(bytes);
    return cpu_->allocate(bytes);
  }
  void upload(void* device, const void* host, size_t bytes) override { cpu_->upload(device, host, bytes); }
  void download(void* host, const void* device, size_t bytes) override { cpu_->download(host, device, bytes); }
  std::vector<Sha256> leaf_digests(const void* device, size_t bytes) override { return cpu_->leaf_digests(device, bytes); }
  std::unique_ptr<Transfer> make_transfer(size_t bytes) override { return cpu_->make_transfer(bytes); }
  Communicator& ranks() override { return cpu_->ranks(); }
  std::optional<DeviceMemory> memory() override { return DeviceMemory{free_, 2 * free_}; }
  int64_t scratch_bytes(const Graph&, const Plan&) override { return scratch_; }
  std::string gemm_library() const override { return "card, library 1"; }
  void use_gemm_choices(const GemmChoices& choices) override { used = choices; }
  GemmMeasurement measure_gemm() override {
    GemmMeasurement result;
    result.training[{.tb = true, .m = 64, .n = 32, .k = 32, .lda = 32, .ldb = 32, .ldc = 32}] = {{66, 5, 1}, 0};
    result.lines = {"training 64x32x32 tb"};
    return result;
  }
  std::unique_ptr<Executor> compile(const Graph& graph, const Plan& plan, Buffer arena) override {
    return cpu_->compile(graph, plan, std::move(arena));
  }

  int64_t allocated = 0;
  GemmChoices used;

 private:
  std::unique_ptr<Device> cpu_ = make_device("cpu", 1);
  int64_t free_, scratch_;
};

}  // namespace sixteen::testing
