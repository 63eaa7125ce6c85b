// See gradient_tree.h.
#include "model/gradient_tree.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "formats/check.h"
#include "graph/builder.h"
#include "model/step_program.h"

namespace sixteen {
namespace {

// After leaf i of `leaves`, joins[i] nodes of the tree are complete besides the leaf.
void count_joins(int64_t leaves, std::vector<int>* joins) {
  if (leaves == 1) return joins->push_back(0);
  count_joins(leaves / 2, joins);
  count_joins(leaves - leaves / 2, joins);
  ++joins->back();
}

// Sums that wait at once, at most; the last leaf waits for nobody.
size_t levels_for(const std::vector<int>& joins) {
  int depth = 0, deepest = 0;
  for (size_t i = 0; i + 1 < joins.size(); ++i) {
    depth += 1 - joins[i];
    deepest = std::max(deepest, depth);
  }
  return static_cast<size_t>(deepest);
}

std::string grads_name(size_t part) { return "grads" + std::to_string(part); }
std::string total_name(size_t part) { return "total" + std::to_string(part); }

}  // namespace

struct GradientTree::Level {
  std::vector<Buffer> totals;
  std::unique_ptr<StepProgram> put_aside, join;
};

LeafShare GradientTree::share(int64_t leaves, int rank, int ranks) {
  CHECK(rank >= 0 && rank < ranks && leaves >= 0);
  if (!std::has_single_bit(static_cast<unsigned>(ranks))) {
    const int64_t first = leaves * rank / ranks;
    return {first, leaves * (rank + 1) / ranks - first};
  }
  int64_t begin = 0, end = leaves;
  for (int half = ranks / 2; half > 0; half /= 2) ((rank & half) != 0 ? begin : end) = begin + (end - begin) / 2;
  return {begin, end - begin};
}

GradientTree::GradientTree(Session* session, double clip_norm, double scale)
    : session_(session), clip_norm_(clip_norm), scale_(scale), grads_{session->grads()}, sizes_{session->table().flat_size()} {
  if (session->hash_grads().data() != nullptr) {
    grads_.push_back(session->hash_grads());
    sizes_.push_back(session->hash().buckets * session->config().dim);
  }
  Device& device = session->device();
  one_ = device.allocate(sizeof(float));
  const float one = 1;
  device.upload(one_.data(), &one, sizeof one);
  if (clip_norm_ == 0 && scale_ == 1) return;
  Builder b;
  std::vector<ValueId> grads;
  ValueId sum = kNoValue;
  for (size_t i = 0; i < grads_.size(); ++i) {
    grads.push_back(b.state(grads_name(i), {sizes_[i]}));
    const ValueId squares = b.sum_squares(grads[i]);
    sum = sum == kNoValue ? squares : b.axpby(sum, squares, 1, 1);
  }
  const auto [coefficient, norm] = b.clip_scale(sum, bound_or_none(clip_norm_));
  for (const ValueId grad : grads) b.cast(grad, b.scale_by(grad, coefficient, scale_));
  b.mark_output(norm);
  clip_ = compile(b.finish(), norm, {});
}

GradientTree::~GradientTree() = default;

std::unique_ptr<StepProgram> GradientTree::compile(Graph graph, ValueId norm, const std::vector<Buffer>& totals) {
  std::vector<std::pair<std::string, Buffer>> bindings{{"one", one_}};
  for (size_t i = 0; i < grads_.size(); ++i) bindings.emplace_back(grads_name(i), grads_[i]);
  for (size_t i = 0; i < totals.size(); ++i) bindings.emplace_back(total_name(i), totals[i]);
  return std::make_unique<StepProgram>(&session_->device(), std::move(graph), norm, bindings);
}

void GradientTree::reserve(int64_t leaves) {
  const Communicator& ranks = session_->device().ranks();
  reserve_own(share(leaves, ranks.rank(), ranks.size()).count);
}

void GradientTree::reserve_own(int64_t own) {
  joins_.clear();
  if (own > 0) count_joins(own, &joins_);
  while (levels_.size() < levels_for(joins_)) {
    Level level;
    Builder put, join;
    const ValueId one = join.input("one", {1});
    for (size_t i = 0; i < grads_.size(); ++i) {
      level.totals.push_back(session_->device().allocate(static_cast<size_t>(sizes_[i]) * sizeof(float)));
      const ValueId grads = put.state(grads_name(i), {sizes_[i]});
      put.cast(put.state(total_name(i), {sizes_[i]}), grads);
      put.fill(grads, 0);
      join.add_scaled_by(join.state(grads_name(i), {sizes_[i]}), join.input(total_name(i), {sizes_[i]}), one, 1);
    }
    level.put_aside = compile(put.finish(), kNoValue, level.totals);
    level.join = compile(join.finish(), kNoValue, level.totals);
    levels_.push_back(std::move(level));
  }
  while (clip_norm_ > 0 && norms_.size() < joins_.size()) norms_.push_back(session_->device().make_transfer(sizeof(float)));
}

LeafShare GradientTree::begin(int64_t leaves) {
  const Communicator& ranks = session_->device().ranks();
  const LeafShare mine = share(leaves, ranks.rank(), ranks.size());
  begin_own(mine.count);
  return mine;
}

void GradientTree::begin_own(int64_t own) {
  reserve_own(own);
  added_ = depth_ = 0;
  session_->zero_grads();
}

void GradientTree::add_leaf() {
  CHECK(added_ < joins_.size());
  if (clip_ != nullptr) {
    clip_->enqueue();
    if (clip_norm_ > 0) norms_[added_]->fetch(clip_->norm_data(), sizeof(float));
  }
  for (int i = 0; i < joins_[added_]; ++i) levels_[--depth_].join->enqueue();
  if (++added_ < joins_.size()) levels_[depth_++].put_aside->enqueue();
}

void GradientTree::all_reduce() {
  CHECK(added_ == joins_.size() && depth_ == 0);
  Communicator& ranks = session_->device().ranks();
  if (ranks.size() == 1) return;
  std::vector<Communicator::Ticket> tickets;
  for (size_t i = 0; i < grads_.size(); ++i) tickets.push_back(ranks.all_reduce(grads_[i].data(), sizes_[i], DType::kF32));
  for (const Communicator::Ticket ticket : tickets) ranks.wait(ticket);
}

double GradientTree::mean_norm() {
  if (clip_norm_ == 0 || added_ == 0) return 0;
  double sum = 0;
  for (size_t i = 0; i < added_; ++i) {
    norms_[i]->wait();
    float norm = 0;
    std::memcpy(&norm, norms_[i]->host(), sizeof norm);
    sum += norm;
  }
  return sum / static_cast<double>(added_);
}

}  // namespace sixteen
