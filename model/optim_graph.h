// The pieces that a step of the training optimiser (optim.h) is made of, recorded into one graph or several: one for a run of
// one rank, several with collectives between them for ranks that share Muon's matrices (optim_ranks.h).
//
// Bites: alignment gaps are 0 in weights, gradients and state, so ranges may span them: 0 stays 0.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "graph/builder.h"
#include "model/optim.h"

namespace sixteen {

// A range of the flat layout that one op updates: `n` matrices of one shape, or elements [begin, begin + count).
struct OptimRun {
  ParamGroup group = ParamGroup::kFixed;
  int64_t begin = 0, count = 0;
  int64_t n = 0, rows = 0, cols = 0;
  bool small = false;  // a matrix that is no weight of a product: the loop-pass embedding

  int64_t matrix() const { return rows * cols; }
  // Whether ranks share it, a matrix each. Lone and small matrices are not worth a collective: every rank updates them.
  bool bank() const { return group == ParamGroup::kMatrix && n > 1 && !small; }
};

// Neighbouring tensors of one group become one run; matrices only while they have one shape and no gap between them.
std::vector<OptimRun> optim_runs(const ParamTable& table);

struct FlatRange {
  int64_t begin = 0, count = 0;
};
// What is in no bank, gaps included.
std::vector<FlatRange> ranges_beside_banks(const std::vector<OptimRun>& runs, int64_t flat_size);

enum OptimScalar { kMatrixLr, kTokenLr, kHeadLr, kScalarLr, kMomentum, kBias1, kBias2, kOptimScalars };

class OptimGraph {
 public:
  OptimGraph(const OptimConfig& config, int64_t flat_size) : config_(config), flat_size_(flat_size) {}

  Builder& builder() { return b_; }
  // Bound values, declared when they are first asked for. Flat fp32 ones: weights, grads, moment1, moment2, ema.
  ValueId state(const std::string& name, Shape shape, DType dtype = DType::kF32);
  ValueId flat(const std::string& name) { return state(name, {flat_size_}); }
  ValueId coefficient() { return state("coefficient", {1}); }

  void clear_square_sums(int64_t count) { b_.fill(state("sums", {count}), 0); }
  // sums[index] of `count`: of one matrix or range, so that the norm's bits do not depend on who owns which.
  void add_square_sum(int64_t index, int64_t count, ValueId x);
  ValueId clip(int64_t count);  // coefficient from sums[0 .. count); returns the norm

  ValueId muon_update(const OptimRun& run, ValueId grads, ValueId momentum);  // of any number of the run's matrices
  void muon_apply(const OptimRun& run, ValueId update);                       // update of all of the run's matrices
  void muon(const OptimRun& run);                                             // both, from the flat gradients
  void adamw(const OptimRun& run);
  void follow_weights(bool bf16_copy);  // the copy for bf16 graphs, the average

  Graph finish() { return b_.finish(); }

 private:
  ValueId scalar(OptimScalar which);

  const OptimConfig& config_;
  const int64_t flat_size_;
  Builder b_;
  std::map<std::string, ValueId> states_;
};

}  // namespace sixteen
