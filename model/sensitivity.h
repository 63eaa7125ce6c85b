// How much the loss minds an error in a row of a matrix: the diagonal of the Fisher information, summed over each row.
//
// Near its optimum a model's loss rises by half of e F e for a small change e of its weights, F the Fisher information: the
// expected square of the gradient when targets are drawn from the model itself. With F of a row taken as its sum here times
// H / tr H (H = X^T X of the matrix's input; Martens & Grosse 2015, K-FAC, one scalar an output), an error e_i of row i costs
//   rows[i] / 2 * e_i H e_i^T / tr H       nats a token,
// which makes errors of different matrices comparable: what a size budget is divided by.
// Bites: targets are drawn, not read, because gradients of real targets have a mean and correlate within a text. They are drawn
// from fp32 logits with one generator in window order: one window a pass.
#pragma once

#include <cstdint>
#include <string>

#include "model/calibration.h"

namespace sixteen {

// Of every matrix of rank 2 in the table, from the first config.sensitivity_windows windows of the training order: a forward and a
// training pass each, on this rank alone. threads: of what is left to the host, 0 for all. Gradients of the session are zero
// afterwards. Throws Error when the shards do not fit the model.
Sensitivities measure_sensitivities(Session* session, const std::string& calib_pattern, const CalibrationConfig& config, int threads,
                                    const Console& console);

}  // namespace sixteen
