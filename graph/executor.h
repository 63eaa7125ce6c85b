// Devices and executors: how a planned graph runs.
//
// A Device owns memory and makes executors; several executors may share one arena (loop on and loop off, train and
// validate), as long as they do not need each other's outputs.
// Bites: every bound value must be bound before run(); pointers are the device's. On a GPU run() is asynchronous and
// download() waits; on the CPU everything is done when it returns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/sha256.h"
#include "graph/communicator.h"
#include "graph/gemm_choice.h"
#include "graph/graph.h"
#include "graph/plan.h"
#include "graph/transfer.h"

namespace sixteen {

// Device memory, zeroed, aligned to 256 bytes, freed with its last owner.
class Buffer {
 public:
  Buffer() = default;
  Buffer(std::shared_ptr<std::byte> data, size_t bytes) : data_(std::move(data)), bytes_(bytes) {}
  std::byte* data() const { return data_.get(); }
  size_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<std::byte> data_;
  size_t bytes_ = 0;
};

class Executor {
 public:
  virtual ~Executor() = default;
  virtual void bind(ValueId value, void* data) = 0;  // kInput, kWeight or kState
  virtual void run() = 0;
  virtual void* data(ValueId value) = 0;             // device address of any bound value or output (or view of one)
  // Microseconds of each node within whole runs, the mean of `repeats` of them. For reports: states that a run updates are
  // updated again.
  virtual std::vector<double> node_times_us(int repeats) = 0;
};

struct DeviceMemory {
  int64_t free = 0, total = 0;  // bytes
};

class Device {
 public:
  virtual ~Device() = default;
  virtual std::string name() const = 0;  // "cpu avx512 2 threads"
  // What a model's activations are here unless asked for otherwise: kF32, or kBF16 where the matrix units want it.
  virtual DType activations() const { return DType::kF32; }
  // Whether fp32 results are those of every other such device: chains of fma in one order (docs/DESIGN.md, 6).
  virtual bool portable_arithmetic() const { return false; }
  virtual Buffer allocate(size_t bytes) = 0;
  virtual void upload(void* device, const void* host, size_t bytes) = 0;
  virtual void download(void* host, const void* device, size_t bytes) = 0;
  // SHA-256 of each leaf of kLeafBytes (formats/sha256.h) of device memory.
  virtual std::vector<Sha256> leaf_digests(const void* device, size_t bytes) = 0;
  virtual std::unique_ptr<Transfer> make_transfer(size_t bytes) = 0;  // of up to so many bytes; must not outlive the device
  // What is left for allocate(); nothing where the device does not know (host memory).
  virtual std::optional<DeviceMemory> memory() { return std::nullopt; }
  // What compile() will allocate for a graph beside its arena.
  virtual int64_t scratch_bytes(const Graph&, const Plan&) { return 0; }
  // How matrix products are computed, where the device can choose (gemm_choice.h): training graphs compiled from here on use
  // these; and the fastest algorithms for the products of all graphs compiled so far, measured.
  virtual std::string gemm_library() const { return ""; }  // "NVIDIA H200, cublasLt 130003"; empty: nothing to choose
  virtual void use_gemm_choices(const GemmChoices&) {}
  virtual GemmMeasurement measure_gemm() { return {}; }
  // The graph is copied in. `arena` must hold plan.arena_bytes.
  virtual std::unique_ptr<Executor> compile(const Graph& graph, const Plan& plan, Buffer arena) = 0;
  // The other ranks' devices; this one alone where there are none.
  virtual Communicator& ranks() = 0;
};

class World;

// "cpu" or "cuda". threads: 0 for all, shared with the other ranks of this host. With a world the device is this rank's.
// Throws Error when this build or machine has no such device.
std::unique_ptr<Device> make_device(const std::string& name, int threads = 0, std::shared_ptr<World> world = nullptr);

std::string devices_text(Device& device);  // its name, with other ranks beside it "4 x NVIDIA H200"

}  // namespace sixteen
