// Seconds on the steady clock: since a moment, and since this process began ("from a cold start to the first step"); and what
// time it is, for records.
#pragma once

#include <chrono>
#include <string>

namespace sixteen {

// Seconds since the kernel started this process (Linux, to 10 ms), loading of its libraries included; elsewhere since the
// first call.
double process_seconds();

// The time of day, UTC, by strftime's pattern.
std::string utc_now(const char* pattern);

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace sixteen
