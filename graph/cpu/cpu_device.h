// The CPU as a Device: host memory, a pool of threads, executors that call kernels.h node by node.
#pragma once

#include <memory>

#include "graph/executor.h"

namespace sixteen::cpu {

// threads 0: all cores; under a launcher that binds nobody to cores (torchrun, --gpus) a rank's equal share of them.
std::unique_ptr<Device> make_cpu_device(int threads, std::shared_ptr<World> world);

}  // namespace sixteen::cpu
