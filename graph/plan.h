// Where every kTemp value lies in one arena: computed once, nothing is allocated after it.
//
// Values whose lifetimes (first writer to last user, in node order) overlap get disjoint bytes; first fit by descending size.
// Bites: outputs live to the end of the run. Offsets are multiples of 256 bytes (what CUDA and AVX-512 want).
#pragma once

#include <cstdint>
#include <vector>

#include "graph/graph.h"

namespace sixteen {

struct Plan {
  std::vector<int64_t> offset;  // [values] byte offset in the arena; -1 for values that do not live there
  int64_t arena_bytes = 0;
  int64_t sum_bytes = 0;        // what the temporaries would need without sharing
};

Plan plan_memory(const Graph& graph);

}  // namespace sixteen
