// The machine's own rates, measured through the engine: what shares of peak in logs, benchmarks and profiles refer to.
#pragma once

#include "graph/profile.h"

namespace sixteen {

// Best of several square products in the type of the device's activations, in flops a second: fp32 of 1024 cubed on the CPU,
// bf16 of 8192 cubed where activations are bf16. Takes about a third of a second.
double measure_peak_flops(Device& device);
// The same, and the best rate of fp32 sums of two arrays much larger than any cache (256 MiB on a card, 64 MiB on the CPU): on
// an H200 as fast as its copies in the best form, and faster than `scale`.
MachineRates measure_rates(Device& device);

}  // namespace sixteen
