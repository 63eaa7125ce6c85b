// A step of an optimiser as a compiled graph: bound buffers, single-value inputs, the gradient norm it leaves behind.
//
// Bites: the inputs are views of one value named "scalars", so that a step uploads once and can be captured and replayed.
#pragma once

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "formats/check.h"
#include "graph/builder.h"
#include "graph/executor.h"
#include "graph/plan.h"
#include "graph/profile.h"

namespace sixteen {

class StepProgram {
 public:
  // Takes of the bindings what the graph has; scalars may be one of them. norm: kNoValue where the graph leaves none.
  StepProgram(Device* device, Graph graph, ValueId norm, const std::vector<std::pair<std::string, Buffer>>& bindings)
      : device_(device), norm_(norm), graph_(std::move(graph)) {
    const Plan plan = plan_memory(graph_);
    executor_ = device->compile(graph_, plan, device->allocate(std::max<int64_t>(plan.arena_bytes, 1)));
    for (const auto& [name, buffer] : bindings) {
      if (graph_.has(name)) bind(name, buffer);
    }
    if (!graph_.has("scalars") || buffers_.contains("scalars")) return;
    bind("scalars", device->allocate(graph_.value(graph_.find("scalars")).shape.numel() * sizeof(float)));
  }

  void bind(const std::string& name, const Buffer& buffer) {
    const ValueId id = graph_.find(name);
    CHECK(buffer.bytes() >= graph_.value(id).shape.numel() * dtype_bytes(graph_.value(id).dtype));
    executor_->bind(id, buffer.data());
    buffers_[name] = buffer;
  }

  double run(const std::vector<double>& scalars) {
    const Buffer& to = buffers_.at("scalars");
    CHECK(scalars.size() * sizeof(float) == to.bytes());
    const std::vector<float> values(scalars.begin(), scalars.end());
    device_->upload(to.data(), values.data(), values.size() * sizeof(float));
    enqueue();
    return norm();
  }

  void enqueue() { executor_->run(); }  // with the scalars that are there
  void* norm_data() { return executor_->data(norm_); }
  double norm() {                       // of the last run; waits
    float norm = 0;
    device_->download(&norm, norm_data(), sizeof norm);
    return norm;
  }

  // Times of its ops, with the scalars of the last run; states move on.
  std::vector<OpTime> profile(const MachineRates& rates) { return measure_op_times(graph_, executor_.get(), rates); }

 private:
  Device* device_;
  ValueId norm_;
  Graph graph_;
  std::map<std::string, Buffer> buffers_;  // what is bound, kept alive
  std::unique_ptr<Executor> executor_;
};

// A clip norm of 0 means none.
inline double bound_or_none(double clip_norm) { return clip_norm > 0 ? clip_norm : std::numeric_limits<double>::infinity(); }

}  // namespace sixteen
