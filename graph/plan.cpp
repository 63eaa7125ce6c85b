// First-fit memory planning over lifetimes.
#include "graph/plan.h"

#include <algorithm>
#include <limits>

#include "formats/check.h"

namespace sixteen {
namespace {

constexpr int64_t kAlignment = 256;

struct Interval {
  ValueId id;
  int64_t first = std::numeric_limits<int64_t>::max(), last = -1;  // node indices, both inclusive
  int64_t bytes = 0;
};

std::vector<Interval> lifetimes(const Graph& graph) {
  std::vector<Interval> intervals(graph.values().size());
  const int64_t nodes = static_cast<int64_t>(graph.nodes().size());
  const auto touch = [&](ValueId id, int64_t node) {
    Interval& interval = intervals[graph.base_of(id)];
    interval.first = std::min(interval.first, node);
    interval.last = std::max(interval.last, node);
  };
  for (int64_t i = 0; i < nodes; ++i) {
    for (ValueId id : graph.nodes()[i].in) touch(id, i);
    for (ValueId id : graph.nodes()[i].out) touch(id, i);
  }
  for (size_t i = 0; i < intervals.size(); ++i) {
    const Value& value = graph.values()[i];
    intervals[i].id = static_cast<ValueId>(i);
    const int64_t bytes = value.shape.numel() * static_cast<int64_t>(dtype_bytes(value.dtype));
    intervals[i].bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    if (value.output) intervals[i].last = nodes;
  }
  std::erase_if(intervals, [&](const Interval& v) { return graph.value(v.id).kind != ValueKind::kTemp || v.last < 0; });
  return intervals;
}

}  // namespace

Plan plan_memory(const Graph& graph) {
  Plan plan;
  plan.offset.assign(graph.values().size(), -1);
  std::vector<Interval> intervals = lifetimes(graph);
  std::stable_sort(intervals.begin(), intervals.end(), [](const Interval& a, const Interval& b) { return a.bytes > b.bytes; });
  std::vector<Interval> placed;  // sorted by offset
  for (const Interval& v : intervals) {
    int64_t offset = 0;
    for (const Interval& other : placed) {
      if (other.last < v.first || other.first > v.last) continue;
      const int64_t begin = plan.offset[other.id];
      if (offset + v.bytes <= begin) break;
      offset = std::max(offset, begin + other.bytes);
    }
    plan.offset[v.id] = offset;
    plan.arena_bytes = std::max(plan.arena_bytes, offset + v.bytes);
    plan.sum_bytes += v.bytes;
    const auto place = std::upper_bound(placed.begin(), placed.end(), offset,
                                        [&](int64_t o, const Interval& p) { return o < plan.offset[p.id]; });
    placed.insert(place, v);
  }
  return plan;
}

}  // namespace sixteen
