// The loaders that [train.data] asks for, one a virtual rank.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/train_loader.h"
#include "trainer/train_config.h"

namespace sixteen {

// Those of virtual ranks first .. first + count. folder: its *_train_*.bin are read. Throws Error: no shards, bad or too short
// ones, fewer than virtual ranks for "shuffled".
std::vector<std::unique_ptr<TrainLoader>> make_train_loaders(const TrainConfig& config, const std::string& folder,
                                                             int64_t vocab, int64_t first, int64_t count);

// The seed of the mixture for data.seed = "path": of the pattern PREFIX_train_*.bin that the first file's name begins with, as
// the record spells it, of the files and their token counts.
uint64_t mixture_seed_of_files(const std::vector<std::string>& files);

}  // namespace sixteen
