// The devices that this build has, by name.
#include "formats/error.h"
#include "graph/cpu/cpu_device.h"
#include "graph/executor.h"
#ifdef SIXTEEN_CUDA
#include "graph/cuda/cuda_device.h"
#endif

namespace sixteen {

std::unique_ptr<Device> make_device(const std::string& name, int threads, std::shared_ptr<World> world) {
  if (name == "cpu") return cpu::make_cpu_device(threads, std::move(world));
  if (name == "cuda") {
#ifdef SIXTEEN_CUDA
    return cuda::make_cuda_device(std::move(world));
#else
    fail("--device cuda: this build has no CUDA backend; build with -DSIXTEEN_CUDA=ON, or use --device cpu");
#endif
  }
  fail("--device ", name, ": unknown device; expected cpu or cuda");
}

std::string devices_text(Device& device) {
  const int ranks = device.ranks().size();
  return (ranks == 1 ? "" : std::to_string(ranks) + " x ") + device.name();
}

}  // namespace sixteen
