// The schedules of training and of test-time training as pure functions (PR 1584, spec_1584_1555 5.1, 5.6 and 7.3).
//
// frac is the share of the training budget that is spent, by wall clock or by steps: progress() makes it.
// Bites: nothing here looks at a clock, so a run whose frac comes from steps is repeatable to the bit.
#pragma once

#include <cstdint>

namespace sixteen {

struct ScheduleConfig {
  double warmdown_frac =
      0.667;          // share of the budget, at its end, over which the learning rate falls to min_lr; 0: none
  double min_lr = 0;  // floor of the multiplier
  double momentum_start = 0.92, momentum_end = 0.97;  // of Muon
  int64_t momentum_steps = 1500;                      // steps of the linear rise; 0: momentum_end at once
};

// spent / budget; 1 when there is no budget left to spend (budget <= 0).
double progress(double spent, double budget);

// Multiplier of every learning rate: 1, then linear to 0 at frac = 1, never below min_lr in the warm-down.
double lr_scale(const ScheduleConfig& config, double frac);

// Muon's momentum at step 0, 1, ...
double muon_momentum(const ScheduleConfig& config, int64_t step);

// Depth recurrence switches on at the first step whose frac is at least at_frac, and stays on (frac only grows).
bool looping_at(double frac, double at_frac);

// Learning-rate factor of test-time-training chunk 0 .. chunks - 1: half a cosine from 1 to 0.
double ttt_lr_scale(int64_t chunk, int64_t chunks);

}  // namespace sixteen
