// Collectives between cards, on a stream of their own beside the card's runs.
//
// A collective begins when what is on the card's stream by then is done, and wait() makes that stream wait, never the host. Ids
// and small values of the host go over the World's TCP mesh. When the heartbeat loses a rank the communicator is aborted, so
// that kernels which wait for that rank end, and whoever waits for the card hears the verdict at its next call here.
// Bites: sums over ranks are in NCCL's order, the same for equal runs. Whether NVLink multicast is used is the environment's
// business (NCCL_NVLS_ENABLE).
#pragma once

#include <memory>

#include "graph/communicator.h"
#include "graph/cuda/cuda_executor.h"
#include "graph/world.h"

namespace sixteen::cuda {

// Collective. Throws Error: no NCCL, or two ranks on one card, which it names.
std::shared_ptr<Communicator> make_nccl_communicator(std::shared_ptr<Card> card, std::shared_ptr<World> world);

}  // namespace sixteen::cuda
