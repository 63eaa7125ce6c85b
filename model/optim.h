// The optimisers as graphs: one planned step over the flat stores of a Session (spec_1584 section 5; Muon: Keller Jordan 2024, row
// normalisation: PR 1394; AdamW: Loshchilov & Hutter 2017; EMA of weights).
//
// Order of a step: global gradient norm and clip coefficient -> AdamW token -> Muon banks -> AdamW scalars -> EMA. Decay is
// decoupled and applied with the scheduled lr.
// Bites: state (momentum, moments, EMA) is in flat buffers with the parameter table's layout, per canonical matrix. An
// optimiser binds the session's buffers when it is made and starts its EMA from the weights of that moment: call
// set_weights() and enable_hash() before, and do not let it outlive the session.
#pragma once

#include <memory>
#include <string>

#include "model/session.h"

namespace sixteen {

struct OptimConfig {                   // [train.optim]-like keys; defaults are #1584's
  double matrix_lr = 0.022, token_lr = 0.03, scalar_lr = 0.02;
  double head_lr = 0.008;              // of an untied head, which decays as tables do
  double matrix_wd = 0.095, token_wd = 0.095, scalar_wd = 0.02;
  double momentum_start = 0.92, momentum_end = 0.97;
  int64_t momentum_steps = 1500;
  int64_t ns_steps = 5;
  bool row_norm = true;
  std::string muon_shape = "matrix";   // factor of an update: matrix: sqrt(max(1, rows / cols)); bank: sqrt(max(1, n / rows)),
                                       // which #1555 computes from its banks' first two dimensions (T6)
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  double clip_norm = 0.3;              // 0: none
  double ema_decay = 0.997;            // 0: none
  bool muon_bf16 = false;              // Newton-Schulz rounded as the records do
  bool momentum_bf16 = false;          // gradient and buffer of Muon too; #1555 keeps them fp32
  bool token_bf16 = false;             // tables (tok_emb, ...) and their moments, the loop-pass embedding stored as bf16 (T1)
};

class Optimizer {
 public:
  // Where the session's device has ranks beside it, each has its part of a step's gradients in its session, and the step sums
  // them: see optim_ranks.h. measure_norm false: no norm is measured and nothing clipped, by who has clipped before.
  Optimizer(Session* session, const OptimConfig& config, bool measure_norm = true);
  ~Optimizer();

  struct Step {
    double lr_scale = 1;     // multiplies every lr
    double momentum = 0.97;  // of Muon
  };
  // One update from the session's gradients, which are left as they are by one rank. Returns the gradient norm before clipping,
  // for which it waits; 0, without waiting, when none is measured.
  double step(const Step& step);

  // Times of the ops of a step, each of which is taken with the last step's rates: weights and states move on.
  std::vector<OpTime> profile(const MachineRates& rates);

  int64_t steps_done() const;
  // Flat state, table layout (device floats): Muon momentum lives in `moment1` of matrices, AdamW moments in moment1/moment2.
  Buffer moment1();
  Buffer moment2();
  Buffer ema();              // empty when ema_decay is 0
  void gather_state();       // makes moment1 whole on every rank, which has its own matrices' alone between steps
  void set_steps_done(int64_t steps);

  // For reports: leave the exchange with other ranks out of the steps, which spoils the weights; bytes that a rank sends a step.
  void set_mute(bool mute);
  int64_t wire_bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Plain SGD with momentum and a global clip over all trained tensors and the hash table (spec 7.3), for test-time
// training. The first step's buffer is the gradient itself; no weight decay, no dampening, not Nesterov's.
struct SgdConfig {
  double momentum = 0.9, clip_norm = 1.0;  // clip_norm 0: none
  // The control tensors of the first n blocks neither move nor count in the norm; matrices train on, because the records'
  // are banks of all blocks (golden 1584.ttt_freeze).
  int64_t freeze_blocks = 0;
  double hash_lr_mult = 1;   // the hash table's learning rate as a multiple of the others' (#1555: 10, trap T9)
};
class Sgd {
 public:
  Sgd(Session* session, const SgdConfig& config);
  ~Sgd();
  double step(double lr);    // returns the gradient norm before clipping
  // Its state, device floats: flat in table layout, and of the hash table (empty without one).
  Buffer momentum() const;
  Buffer hash_momentum() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sixteen
