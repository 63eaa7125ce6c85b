// See schedule.h.
#include "model/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sixteen {

double progress(double spent, double budget) { return budget > 0 ? spent / budget : 1; }

double lr_scale(const ScheduleConfig& config, double frac) {
  if (config.warmdown_frac <= 0 || frac < 1 - config.warmdown_frac) return 1;
  return std::max((1 - frac) / config.warmdown_frac, config.min_lr);
}

double muon_momentum(const ScheduleConfig& config, int64_t step) {
  if (config.momentum_steps <= 0) return config.momentum_end;
  const double rise = std::min(static_cast<double>(step) / static_cast<double>(config.momentum_steps), 1.0);
  return (1 - rise) * config.momentum_start + rise * config.momentum_end;
}

bool looping_at(double frac, double at_frac) { return frac >= at_frac; }

double ttt_lr_scale(int64_t chunk, int64_t chunks) {
  const double last = static_cast<double>(std::max<int64_t>(chunks - 1, 1));
  return 0.5 * (1 + std::cos(std::numbers::pi * static_cast<double>(chunk) / last));
}

}  // namespace sixteen
