// Hessians for GPTQ: X^T X of every matrix's input over windows of training data, through the same graph that trains.
//
// Source: spec_1584_1555 6.1. Visits of looped layers add to one Hessian; the loop is on; c_k and c_v read c_q's input and use
// its Hessian. The windows are the first of the training order (rank 0 of 1), the ones that training saw first.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/checkpoint.h"
#include "model/console.h"
#include "model/session.h"
#include "packer/pack_config.h"

namespace sixteen {

using Hessians = std::map<std::string, std::vector<float>>;  // [cols, cols] by the name of the parameter table

// Throws Error when the shards do not fit the model (vocabulary) or are too short.
Hessians collect_hessians(Session* session, const std::string& calib_pattern, const PackConfig& config,
                          const Console& console);

// The Hessian that serves tensor `name`, or nullptr.
const std::vector<float>* hessian_for(const Hessians& hessians, const std::string& name);

}  // namespace sixteen
