// See clip_reducer.h.
#include "trainer/clip_reducer.h"

#include <cstring>

#include "formats/check.h"
#include "graph/builder.h"

namespace sixteen {

ClipReducer::ClipReducer(Session* session, double clip_norm, int64_t ranks) : device_(session->device()) {
  const int64_t size = session->table().flat_size();
  total_ = device_.allocate(static_cast<size_t>(size) * sizeof(float));
  one_ = device_.allocate(sizeof(float));
  const float one = 1;
  device_.upload(one_.data(), &one, sizeof(one));
  for (int64_t r = 0; r < ranks; ++r) norms_.push_back(device_.make_transfer(sizeof(float)));

  const auto compile = [&](Builder& b, Buffer* arena) {
    const Graph graph = b.finish();
    const Plan plan = plan_memory(graph);
    *arena = device_.allocate(static_cast<size_t>(plan.arena_bytes));
    std::unique_ptr<Executor> executor = device_.compile(graph, plan, *arena);
    executor->bind(graph.find("grads"), session->grads().data());
    executor->bind(graph.find("total"), total_.data());
    if (graph.has("one")) executor->bind(graph.find("one"), one_.data());
    return executor;
  };
  Builder add;
  const ValueId grads = add.state("grads", {size}), total = add.state("total", {size});
  const auto [coefficient, norm] = add.clip_scale(add.sum_squares(grads), clip_norm);
  add.add_scaled_by(total, grads, coefficient, 1.0 / static_cast<double>(ranks));
  add.fill(grads, 0);
  add.mark_output(norm);
  norm_ = norm;
  add_ = compile(add, &add_arena_);

  Builder finish;
  const ValueId out = finish.state("grads", {size}), sum = finish.state("total", {size});
  finish.add_scaled_by(out, sum, finish.input("one", {1}), 1);
  finish.fill(sum, 0);
  finish_ = compile(finish, &finish_arena_);
}

void ClipReducer::add_rank() {
  CHECK(added_ < norms_.size());
  add_->run();
  norms_[added_++]->fetch(add_->data(norm_), sizeof(float));
}

void ClipReducer::finish() { finish_->run(); }

double ClipReducer::mean_norm() {
  double sum = 0;
  for (size_t i = 0; i < added_; ++i) {
    norms_[i]->wait();
    float norm = 0;
    std::memcpy(&norm, norms_[i]->host(), sizeof(norm));
    sum += norm;
  }
  const double ranks = static_cast<double>(added_);
  added_ = 0;
  return sum / ranks;
}

}  // namespace sixteen
