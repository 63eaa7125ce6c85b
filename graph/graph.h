// An immutable graph of ops over tensors, built once by Builder (builder.h) and run by an Executor (executor.h).
//
// Bites: nodes stand in execution order, and a kTemp value may be written by several nodes (gradients that are added up), so
// a value's lifetime runs from its first writer to its last user. Views share their base's memory.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "formats/dtype.h"
#include "graph/op.h"
#include "graph/shape.h"

namespace sixteen {

using ValueId = int32_t;
constexpr ValueId kNoValue = -1;

enum class ValueKind : uint8_t {
  kInput,   // bound before a run, read only, not differentiated: tokens, tables, learning rates
  kWeight,  // bound before a run, read only; the gradient graph may ask for its gradient
  kState,   // bound before a run; updated in place: gradients, Hessians, parameters and moments in optimiser graphs
  kTemp,    // lives in the arena; contents are gone once its last user has run, unless it is an output
  kView,    // part of another value's memory
};

struct Value {
  std::string name{};  // unique for kInput, kWeight and kState; free text otherwise
  ValueKind kind = ValueKind::kTemp;
  DType dtype = DType::kF32;
  Shape shape{};
  ValueId base = kNoValue;     // kView: the value viewed, never itself a view
  int64_t offset = 0;          // kView: first element within the base
  ValueId gradient = kNoValue; // kWeight (and views of one): the kState value that its gradient is added to
  bool output = false;         // kTemp: kept until the end of the run, readable through Executor::data
};

struct Node {
  Op op;
  Attrs attrs;
  std::vector<ValueId> in, out;
};

struct Cost {
  double bytes = 0;  // read and written at least once
  double flops = 0;  // multiply-adds count two; exp, tanh and the like count one
};

class Graph {
 public:
  // Of activations: kF32, kF64 for gradient checks (then of all floating-point values), or kBF16 (CUDA only; builder.h).
  DType dtype() const { return dtype_; }
  const std::vector<Value>& values() const { return values_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  const Value& value(ValueId id) const { return values_[id]; }
  ValueId base_of(ValueId id) const { return values_[id].kind == ValueKind::kView ? values_[id].base : id; }
  // The bound value of that name; CHECKs that it exists.
  ValueId find(const std::string& name) const;
  bool has(const std::string& name) const { return names_.count(name) != 0; }
  std::string string() const;  // one line a node

 private:
  friend class Builder;
  friend class Autodiff;
  DType dtype_ = DType::kF32;
  std::vector<Value> values_;
  std::vector<Node> nodes_;
  std::map<std::string, ValueId> names_;
};

Cost node_cost(const Graph& graph, const Node& node);
Cost graph_cost(const Graph& graph);

}  // namespace sixteen
