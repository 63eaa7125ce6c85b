// See profile.h.
#include "graph/profile.h"

#include <algorithm>

#include "formats/check.h"

namespace sixteen {
namespace {

bool is_product(Op op) {
  return op == Op::kMatmul || op == Op::kLinearAdd || op == Op::kLinearLeakyReluSq || op == Op::kMatmulLeakyReluSqGrad;
}

// Products of other shapes are other work; of the other ops the name says enough.
std::string op_label(const Graph& graph, const Node& node) {
  if (!is_product(node.op)) return op_name(node.op);
  const Shape &a = graph.value(node.in[0]).shape, &c = graph.value(node.out[0]).shape;
  const int64_t depth = node.attrs.ta ? a[0] : a[1];
  return std::string(op_name(node.op)) + " " + std::to_string(c[0]) + "x" + std::to_string(c[1]) + "x" + std::to_string(depth) +
         (node.attrs.ta ? " ta" : "") + (node.attrs.tb ? " tb" : "");
}

void add(OpTime* to, const OpTime& part, double times) {
  to->count += part.count * static_cast<int64_t>(times);
  to->seconds += times * part.seconds;
  to->bytes += times * part.bytes;
  to->flops += times * part.flops;
  to->floor_seconds += times * part.floor_seconds;
}

void add_named(std::vector<OpTime>* whole, const OpTime& part, double times) {
  const auto same = std::find_if(whole->begin(), whole->end(), [&](const OpTime& t) { return t.op == part.op; });
  add(same != whole->end() ? &*same : &whole->emplace_back(OpTime{.op = part.op}), part, times);
}

void sort_by_cost(std::vector<OpTime>* times) {
  std::stable_sort(times->begin(), times->end(), [](const OpTime& a, const OpTime& b) { return a.seconds > b.seconds; });
}

}  // namespace

std::vector<OpTime> op_times(const Graph& graph, const std::vector<double>& node_us, const MachineRates& rates) {
  CHECK(node_us.size() == graph.nodes().size() && rates.flops > 0 && rates.bytes > 0);
  std::vector<OpTime> times;
  for (size_t i = 0; i < node_us.size(); ++i) {
    const Cost cost = node_cost(graph, graph.nodes()[i]);
    const double floor = std::max(cost.flops / rates.flops, cost.bytes / rates.bytes);
    add_named(&times, {op_label(graph, graph.nodes()[i]), 1, 1e-6 * node_us[i], cost.bytes, cost.flops, floor}, 1);
  }
  sort_by_cost(&times);
  return times;
}

std::vector<OpTime> measure_op_times(const Graph& graph, Executor* executor, const MachineRates& rates, int repeats) {
  return op_times(graph, executor->node_times_us(repeats), rates);
}

void add_op_times(std::vector<OpTime>* whole, const std::vector<OpTime>& part, int64_t times) {
  for (const OpTime& time : part) add_named(whole, time, static_cast<double>(times));
  sort_by_cost(whole);
}

OpTime sum_of(const std::vector<OpTime>& times) {
  OpTime sum{.op = "all ops"};
  for (const OpTime& time : times) add(&sum, time, 1);
  return sum;
}

}  // namespace sixteen
