// The schedules of training and of test-time training as pure functions (spec_1584_1555 5.1, 5.6 and 7.3; spec_726_754 5.6).
//
// frac is the share of the training budget that is spent, by wall clock or by steps: progress() makes it.
// Bites: nothing here looks at a clock, so a run whose frac comes from steps is repeatable to the bit.
#pragma once

#include <cstdint>

namespace sixteen {

struct ScheduleConfig {
  double warmdown_frac =
      0.667;          // share of the budget, at its end, over which the learning rate falls to min_lr; 0: none
  int64_t warmdown_steps = 0;  // the same as a number of steps, whatever time they take (PR 549, 726, 754); 0: by share
  double min_lr = 0;           // floor of the multiplier in the warm-down
  double momentum_start = 0.92, momentum_end = 0.97;  // of Muon
  int64_t momentum_steps = 1500;                      // steps of the linear rise; 0: momentum_end at once
};

// spent / budget; 1 when there is no budget left to spend (budget <= 0).
double progress(double spent, double budget);

// Multiplier of every learning rate under warmdown_frac: 1, then linear to 0 at frac = 1, never below min_lr in the warm-down.
double lr_scale(const ScheduleConfig& config, double frac);

// The multiplier under warmdown_steps, for a run that ends at `budget` (of spent): before `step`, with `spent` behind it, a step
// takes spent / step on average, and the warm-down begins where warmdown_steps of those are left (spec_726_754 5.6).
double lr_scale_by_time(const ScheduleConfig& config, int64_t step, double spent, double budget);

// The multiplier under warmdown_steps for a run of `steps` steps. At and behind `steps`, which no run reaches, it is 1 again, as
// the originals have it.
double lr_scale_by_steps(const ScheduleConfig& config, int64_t step, int64_t steps);

// Muon's momentum at step 0, 1, ...
double muon_momentum(const ScheduleConfig& config, int64_t step);

// Depth recurrence switches on at the first step whose frac is at least at_frac, and stays on (frac only grows).
bool looping_at(double frac, double at_frac);

// Learning-rate factor of test-time-training chunk 0 .. chunks - 1: half a cosine from 1 to 0.
double ttt_lr_scale(int64_t chunk, int64_t chunks);

}  // namespace sixteen
