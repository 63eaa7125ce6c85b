// The CPU as a Device: host memory, a pool of threads, executors that call kernels.h node by node.
#pragma once

#include <memory>

#include "graph/executor.h"

namespace sixteen::cpu {

std::unique_ptr<Device> make_cpu_device(int threads);

}  // namespace sixteen::cpu
