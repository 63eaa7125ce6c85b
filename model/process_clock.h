// Seconds on the steady clock: since a moment, and since this process began ("from a cold start to the first step").
#pragma once

#include <chrono>

namespace sixteen {

// Seconds since the kernel started this process (Linux, to 10 ms), loading of its libraries included; elsewhere since the
// first call.
double process_seconds();

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace sixteen
