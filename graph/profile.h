// Where a run of a graph spends its time: the times of its nodes put together by op, each beside its floor.
//
// A node's floor is the larger of its flops at the machine's matrix rate and its bytes at the machine's memory rate: nothing
// that computes the same through memory can be faster. Costs are those of graph.h's node_cost.
// Bites: a share above 1 means that bytes stayed in a cache, or that the measured rates are not the machine's best.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graph/executor.h"

namespace sixteen {

// Measured, a second: flops of a large matrix product, bytes of a stream through memory (read and written ones both counted).
struct MachineRates {
  double flops = 0, bytes = 0;
};

struct OpTime {
  std::string op;  // name of the op; products with their shape, "matmul 98304x512x2048 tb" (rows x columns x depth)
  int64_t count = 0;
  double seconds = 0, bytes = 0, flops = 0, floor_seconds = 0;
};

// One entry an op, the costliest first. `node_us`: microseconds of each node.
std::vector<OpTime> op_times(const Graph& graph, const std::vector<double>& node_us, const MachineRates& rates);
// The mean of `repeats` runs of the executor, which is of that graph and has everything bound.
std::vector<OpTime> measure_op_times(const Graph& graph, Executor* executor, const MachineRates& rates, int repeats = 2);
// Adds `part`, run `times` times, to `whole`; the order by cost is kept.
void add_op_times(std::vector<OpTime>* whole, const std::vector<OpTime>& part, int64_t times = 1);
// The sum of all entries, named "all ops".
OpTime sum_of(const std::vector<OpTime>& times);

}  // namespace sixteen
