// How long this process has been running: what "from a cold start to the first step" is measured by.
#pragma once

namespace sixteen {

// Seconds since the kernel started this process (Linux, to 10 ms), loading of its libraries included; elsewhere since the
// first call.
double process_seconds();

}  // namespace sixteen
