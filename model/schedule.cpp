// See schedule.h.
#include "model/schedule.h"

#include <algorithm>
#include <numbers>

#include "model/portable_math.h"

namespace sixteen {

double progress(double spent, double budget) { return budget > 0 ? spent / budget : 1; }

double lr_scale(const ScheduleConfig& config, double frac) {
  if (config.warmdown_frac <= 0 || frac < 1 - config.warmdown_frac) return 1;
  return std::max((1 - frac) / config.warmdown_frac, config.min_lr);
}

double lr_scale_by_time(const ScheduleConfig& config, int64_t step, double spent, double budget) {
  const double seconds_a_step = spent / static_cast<double>(std::max<int64_t>(step, 1));
  const double warmdown = static_cast<double>(config.warmdown_steps) * seconds_a_step;
  const double left = std::max(budget - spent, 0.0);
  if (left > warmdown) return 1;
  return std::max(left / std::max(warmdown, 1e-9), config.min_lr);
}

double lr_scale_by_steps(const ScheduleConfig& config, int64_t step, int64_t steps) {
  const int64_t left = steps - step;
  if (left <= 0 || left > config.warmdown_steps) return 1;
  return std::max(static_cast<double>(left) / static_cast<double>(config.warmdown_steps), config.min_lr);
}

double muon_momentum(const ScheduleConfig& config, int64_t step) {
  if (config.momentum_steps <= 0) return config.momentum_end;
  const double rise = std::min(static_cast<double>(step) / static_cast<double>(config.momentum_steps), 1.0);
  return (1 - rise) * config.momentum_start + rise * config.momentum_end;
}

bool looping_at(double frac, double at_frac) { return frac >= at_frac; }

double ttt_lr_scale(int64_t chunk, int64_t chunks) {
  const double last = static_cast<double>(std::max<int64_t>(chunks - 1, 1));
  return 0.5 * (1 + portable_cos(std::numbers::pi * static_cast<double>(chunk) / last));
}

}  // namespace sixteen
