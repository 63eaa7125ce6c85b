// What training asks of a device before its first step: the measured matrix products of this machine, and enough memory.
//
// Bites: another algorithm gives other bits. A run and its repetition agree as long as nobody tunes in between; evaluation
// never uses measured products, so scores do not depend on what a machine has in its cache.
#pragma once

#include <memory>

#include "model/console.h"
#include "model/session.h"
#include "trainer/train_config.h"

namespace sixteen {

// Takes the machine's cache file (graph/gemm_choice.h) where there is one. One that cannot be used is ignored, with one line
// on stderr.
void use_measured_products(Device* device, const Console& console);
// Measures every matrix product of that training, takes the fastest and writes them to the cache; when it cannot be written they
// serve this process alone, with one line on stderr. Throws Error on a device that has nothing to choose.
void tune_products(std::shared_ptr<Device> device, const ModelConfig& model, std::shared_ptr<const ParamTable> table,
                   const TrainConfig& train, const Console& console);
// Session::reserve for the training graphs, loop off and on, beside an optimiser that exists already. `validates`: and scoring's.
void reserve_training(Session* session, const TrainConfig& train, const std::string& advice, bool validates = false);

}  // namespace sixteen
