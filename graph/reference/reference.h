// A plain fp64 interpreter of graphs: every forward and optimiser op written from its definition, sharing no code with any
// backend. Tests compare backends with it and take finite differences of it; `sixteen-eval verify --reference` replays scores with it.
//
// Bites: slow (naive loops). Gradient ops are not here: their reference is the finite difference. Of kHeadLoss only the NLL is
// computed.
#pragma once

#include <map>
#include <vector>

#include "graph/graph.h"

namespace sixteen::reference {

// `bound` holds every bound value (ids as doubles). Returns all values by ValueId, empty where nothing was computed.
std::vector<std::vector<double>> run_reference(const Graph& graph, const std::map<ValueId, std::vector<double>>& bound);

}  // namespace sixteen::reference
