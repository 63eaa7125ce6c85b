// A node's shapes and flags as every executor reads them; where its operands lie is the backend's own affair.
#pragma once

#include "graph/graph.h"

namespace sixteen {

struct NodeView {
  const Graph& graph;
  const Node& n;

  const Shape& in_shape(int i) const { return graph.value(n.in[i]).shape; }
  const Shape& out_shape(int i) const { return graph.value(n.out[i]).shape; }
  // Whether output i is added to: states always are, temporaries where the node says so.
  bool adds(int i) const {
    return n.attrs.adds(i) || graph.value(graph.base_of(n.out[i])).kind == ValueKind::kState;
  }
  int64_t rows(int i) const { return in_shape(i).rows(); }
  int64_t dim(int i) const { return in_shape(i).last(); }
};

}  // namespace sixteen
