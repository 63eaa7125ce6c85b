// Parallel Muon (PR 549, kept by 754 and 1584): every rank orthogonalises its share of the matrices.
//
// A bank, the matrices of one shape, is padded to a multiple of the ranks and reduce-scattered, so that a rank gets the summed
// gradients of its own matrices; it keeps their momentum, takes the Newton-Schulz steps, and its updates are gathered, while
// the next bank is worked on. Everything else is summed in place and updated by all ranks alike. Weights, averages and AdamW's
// moments are the same on all ranks, Muon's momentum is whole only after gather_momentum().
// On the wire a gradient is bf16 where the optimiser would round it to bf16 anyway (momentum_bf16), an update where it has been
// (muon_bf16), both only on devices that compute in bf16; else fp32, and then the bits are those of one rank, as long as the
// ranks' sums go up the same tree (gradient_tree.h).
// Bites: collective: every rank makes the same calls. The session's gradients beside the banks are replaced by the ranks' sum.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "model/optim_graph.h"
#include "model/step_program.h"

namespace sixteen {

class RankedStep {
 public:
  using Bindings = std::vector<std::pair<std::string, Buffer>>;
  // bindings: the flat values, "scalars" and "coefficient" (1 where no norm is measured).
  RankedStep(Session* session, const OptimConfig& config, const Bindings& bindings, bool measure_norm);
  ~RankedStep();

  void run();     // does not wait
  double norm();  // of the last run; 0 where none is measured; waits

  void gather_momentum(Buffer moment1);
  // Leaves the collectives out: what a step costs beside them. The weights are spoilt then.
  void set_mute(bool mute) { mute_ = mute; }
  int64_t wire_bytes() const;  // that a rank sends in a step
  std::vector<OpTime> profile(const MachineRates& rates);

 private:
  using Ticket = Communicator::Ticket;
  struct Bank;
  void add_bank(const OptimRun& run);
  void build_pack();
  void build_norm();
  void build_bank(Bank* bank);
  void build_rest();
  std::unique_ptr<StepProgram> compile(OptimGraph* graph, ValueId norm = kNoValue);
  void sum_norms();

  Session* session_;
  Communicator& ranks_;
  const OptimConfig& config_;
  Bindings bindings_;
  const std::vector<OptimRun> runs_;
  const std::vector<FlatRange> rest_;
  const DType gradient_wire_, update_wire_;
  std::vector<Bank> banks_;
  Buffer sums_;
  int64_t norm_parts_ = 0;  // 0: none is measured
  std::unique_ptr<StepProgram> pack_, square_, clip_, rest_step_, apply_;
  bool mute_ = false;
};

}  // namespace sixteen
