// Shapes, look-ups and the printed form of a graph.
#include "graph/graph.h"

#include <algorithm>
#include <sstream>

#include "formats/check.h"

namespace sixteen {

Shape::Shape(std::initializer_list<int64_t> dims) : rank_(static_cast<int>(dims.size())) {
  CHECK(dims.size() <= kMaxRank);
  std::copy(dims.begin(), dims.end(), dims_.begin());
  for (int64_t d : dims) CHECK(d >= 0);
}

int64_t Shape::numel() const {
  int64_t product = 1;
  for (int i = 0; i < rank_; ++i) product *= dims_[i];
  return product;
}

std::string Shape::string() const {
  std::string text = "[";
  for (int i = 0; i < rank_; ++i) text += (i > 0 ? ", " : "") + std::to_string(dims_[i]);
  return text + "]";
}

ValueId Graph::find(const std::string& name) const {
  const auto found = names_.find(name);
  CHECK(found != names_.end());
  return found->second;
}

namespace {

std::string label(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  return "%" + std::to_string(id) + (value.name.empty() ? "" : ":" + value.name);
}

}  // namespace

std::string Graph::string() const {
  std::ostringstream text;
  for (const Node& node : nodes_) {
    for (size_t i = 0; i < node.out.size(); ++i) {
      const bool adds = node.attrs.adds(static_cast<int>(i)) || value(base_of(node.out[i])).kind == ValueKind::kState;
      text << (i > 0 ? ", " : "") << label(*this, node.out[i]) << value(node.out[i]).shape.string() << (adds ? "+" : "");
    }
    text << " = " << op_name(node.op) << "(";
    for (size_t i = 0; i < node.in.size(); ++i) text << (i > 0 ? ", " : "") << label(*this, node.in[i]);
    text << ")";
    if (node.op == Op::kMatmul) text << (node.attrs.ta ? " ta" : "") << (node.attrs.tb ? " tb" : "");
    if (node.attrs.alpha != 1) text << " alpha=" << node.attrs.alpha;
    text << "\n";
  }
  return text.str();
}

}  // namespace sixteen
