// The machine's own matrix rate, measured: what shares of peak in logs and benchmarks refer to.
#pragma once

#include "graph/executor.h"

namespace sixteen {

// Best of several fp32 products of 1024 x 1024 x 1024 through the engine, in flops a second. Takes about a third of a second.
double measure_peak_flops(Device& device);

}  // namespace sixteen
