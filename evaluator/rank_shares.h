// Scoring spread over ranks: whose windows are whose, and how every rank comes to the losses of all.
//
// Forward rows do not depend on what is computed beside them, so losses put together in the windows' order have the bits of one
// rank's, whatever the number of ranks.
// Bites: both are collective where they take the ranks: all of them call, with the same windows.
#pragma once

#include <span>
#include <vector>

#include "graph/communicator.h"
#include "model/windows.h"

namespace sixteen {

// The consecutive windows that `rank` of `ranks` scores; none where there are fewer windows than ranks.
std::span<const Window> share_of(std::span<const Window> windows, int rank, int ranks);

// mine: losses of the own share, window by window -> of all windows, on every rank.
std::vector<float> gather_losses(Communicator& ranks, std::span<const Window> windows, std::vector<float> mine);

}  // namespace sixteen
