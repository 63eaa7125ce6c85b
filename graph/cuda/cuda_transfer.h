// Transfers of a card: page-locked memory, a staging buffer on the card, one stream for each direction.
#pragma once

#include <memory>

#include "graph/cuda/cuda_executor.h"
#include "graph/transfer.h"

namespace sixteen::cuda {

std::unique_ptr<Transfer> make_cuda_transfer(std::shared_ptr<Card> card, size_t bytes);

}  // namespace sixteen::cuda
