// One CUDA card as a Device: memory, one stream, executors that call kernels.h node by node and replay them as a CUDA graph.
#pragma once

#include <memory>

#include "graph/executor.h"

namespace sixteen::cuda {

// The card CUDA_VISIBLE_DEVICES puts first, or with a world, whose ranks it then meets through NCCL, this rank's. Throws Error in one line: no card, a driver too old, a card below sm_80.
std::unique_ptr<Device> make_cuda_device(std::shared_ptr<World> world);

}  // namespace sixteen::cuda
