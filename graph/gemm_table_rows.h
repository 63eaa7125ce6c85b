// Rows of the checked-in GEMM table (gemm_choice.h), written by `sixteen-eval bench --tune`. Changing a row changes the bits of
// scores on that card, and scoring_table_digest() with them.
#pragma once

#include "graph/gemm_choice.h"

namespace sixteen {

// sm, version, tb, add, wide, n, k, algorithm
inline const std::vector<GemmRow> kGemmTable = {
    {90, 130100, true, false, false, 256, 512,
     {{0x1d00000042, 0x100000023, 0x0, 0x3000000000001, 0x1fc3400000001, 0xe0000000e, 0x44000e000e, 0x0}, 0}},
    {90, 130100, true, false, false, 512, 512,
     {{0x1d00000042, 0x100000023, 0x0, 0x3000000000001, 0x1fc3400000001, 0xe0000000e, 0x44000e000e, 0x0}, 0}},
    {90, 130100, true, false, false, 512, 2048,
     {{0x1d00000042, 0x100000023, 0x0, 0x3000000000001, 0x1fc3400000001, 0xe0000000e, 0x44000e000e, 0x0}, 0}},
    {90, 130100, true, false, false, 8192, 512,
     {{0xc900000042, 0x100000023, 0x0, 0x5000000000002, 0x1fc3400000001, 0xe0000000e, 0x44000e000e, 0x0}, 0}},
    {90, 130100, true, false, true, 8192, 512,
     {{0xc900000042, 0x100000023, 0x0, 0x5000000000002, 0x1fc3400000001, 0xe0000000e, 0x4400000000, 0x0}, 0}},
    {90, 130100, true, true, false, 512, 512,
     {{0x1400000042, 0x100000023, 0x0, 0x3000000000001, 0x1fc3400000001, 0xe0000000e, 0x44000e000e, 0x0}, 0}},
    {90, 130100, true, true, false, 512, 2048,
     {{0x1400000042, 0x100000023, 0x0, 0x3000000000001, 0x1fc3400000001, 0xe0000000e, 0x44000e000e, 0x0}, 0}},
    {90, 130100, false, false, false, 512, 256,
     {{0x1400000042, 0x100000023, 0x0, 0x3000000000001, 0x1fc3400000001, 0xe0000000e, 0x44000e000e, 0x0}, 0}},
    {90, 130100, false, false, false, 512, 512,
     {{0x1400000042, 0x100000023, 0x0, 0x3000000000001, 0x1fc3400000001, 0xe0000000e, 0x44000e000e, 0x0}, 0}},
    {90, 130100, false, false, false, 512, 2048,
     {{0x1800000042, 0x100000023, 0x0, 0x5000000000007, 0x1fc3400000001, 0xe0000000e, 0x44000e000e, 0x0}, 0}},
    {90, 130100, false, false, false, 512, 8192,
     {{0x1800000042, 0x100000023, 0x0, 0x5000000000007, 0x1fc3400000001, 0xe0000000e, 0x44000e000e, 0x0}, 0}},
    {90, 130100, false, true, false, 512, 256,
     {{0x1800000042, 0x100000023, 0x0, 0x5000000000007, 0x1fc3400000001, 0xe0000000e, 0x44000e000e, 0x0}, 0}},
    {90, 130100, false, true, false, 512, 512,
     {{0x1400000042, 0x100000023, 0x0, 0x3000000000001, 0x1fc3400000001, 0xe0000000e, 0x44000e000e, 0x0}, 0}},
};

}  // namespace sixteen
