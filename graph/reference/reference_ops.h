// What the two source files of the reference interpreter (reference.h) share.
#pragma once

#include <vector>

#include "graph/graph.h"

namespace sixteen::reference {

using Numbers = std::vector<double>;

// One node and where its operands lie.
struct ReferenceCall {
  const Graph& graph;
  const Node& node;
  std::vector<Numbers>& values;

  const Numbers& in(int i) const;
  Shape in_shape(int i) const { return graph.value(node.in[i]).shape; }
  Shape out_shape(int i) const { return graph.value(node.out[i]).shape; }
  Numbers out_before(int i) const;  // a state's value so far
  // Output i, added to where op.h says so, unless `overwrite` (states that the op updates itself).
  void write(int i, const Numbers& result, bool overwrite = false) const;
};

Numbers read_value(const Graph& graph, const std::vector<Numbers>& values, ValueId id);

// x as fp32, then rounded to bf16 (nearest, ties to even).
double nearest_bf16(double x);

// Each returns false when the op is not one of its own.
bool reference_row_op(const ReferenceCall& c);
bool reference_optim_op(const ReferenceCall& c);

}  // namespace sixteen::reference
