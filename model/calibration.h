// Hessians for GPTQ: X^T X of every matrix's input over windows of training data, through the same graph that trains; and their
// file, so that a training run can collect them within its time and the packer needs no training data.
//
// Source: spec_1584_1555 6.1. Visits of looped layers add to one Hessian; the loop is on; c_k and c_v read c_q's input and use
// its Hessian. The windows are the first of the training order (rank 0 of 1), the ones that training saw first; batches of them
// are shared out among the device's ranks and added up one tree (rank_sum.h), so Hessians do not depend on the number of ranks.
// Bites: Hessians belong to the weights they were collected under: the file holds those weights' hash.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "formats/config_file.h"
#include "model/console.h"
#include "model/session.h"

namespace sixteen {

using Hessians = std::map<std::string, std::vector<float>>;       // [cols, cols] by the name of the parameter table
using Sensitivities = std::map<std::string, std::vector<float>>;  // [rows] likewise: sensitivity.h

struct CalibrationConfig {
  int64_t windows = 3072;  // of the training order, from its start
  int64_t batch = 48;      // windows of one forward pass
  int64_t seq_len = 2048;
  int64_t sensitivity_windows = 8;  // sensitivity.h
};

// calib_windows, calib_batch, calib_seq_len and sensitivity_windows of [pack]; the length defaults to the one that the model was trained at.
CalibrationConfig read_calibration(Section* pack, int64_t train_len, const std::string& where);

// On every rank, with the same bits; collective. Throws Error when the shards do not fit the model (vocabulary) or are too short.
Hessians collect_hessians(Session* session, const std::string& calib_pattern, const CalibrationConfig& config,
                          const Console& console);

// The Hessian that serves tensor `name`, or nullptr.
const std::vector<float>* hessian_for(const Hessians& hessians, const std::string& name);

// Safetensors, fp32 [cols, cols] by name and [rows] by "sensitivity." and name; the metadata names the weights. Atomic.
void save_hessians(const std::string& path, const Hessians& hessians, const ParamStore& weights,
                   const Sensitivities& sensitivities = {});

// Throws Error when the file is damaged, is not such a file, or was collected under other weights than `weights`
// (of the file `model`, for the message). sensitivities: filled when not null; empty when the file has none.
Hessians load_hessians(const std::string& path, const ParamStore& weights, const std::string& model,
                       Sensitivities* sensitivities = nullptr);

}  // namespace sixteen
