// The machine's own matrix rate, measured: what shares of peak in logs and benchmarks refer to.
#pragma once

#include "graph/executor.h"

namespace sixteen {

// Best of several square products through the engine in the type of the device's activations, in flops a second: fp32 of
// 1024 cubed on the CPU, bf16 of 8192 cubed where activations are bf16. Takes about a third of a second.
double measure_peak_flops(Device& device);

}  // namespace sixteen
