// See train_data.h.
#include "trainer/train_data.h"

#include "model/mixture_loader.h"
#include "model/prefetch_loader.h"
#include "model/shuffled_loader.h"
#include "model/stream_loader.h"

namespace sixteen {

uint64_t mixture_seed_of_files(const std::vector<std::string>& files) {
  const std::string marker = "_train_";
  const std::string pattern = files.front().substr(0, files.front().rfind(marker)) + marker + "*.bin";
  std::vector<int64_t> tokens;
  for (const std::string& file : files) tokens.push_back(static_cast<int64_t>(TokenShard(file).tokens().size()));
  return mixture_seed(pattern, files, tokens);
}

std::vector<std::unique_ptr<TrainLoader>> make_train_loaders(const TrainConfig& config, const std::string& folder,
                                                             int64_t vocab, int64_t first, int64_t count) {
  const DataConfig& data = config.data;
  const std::vector<std::string> files = find_train_shards(folder);
  const int ranks = static_cast<int>(config.virtual_ranks);
  const int64_t rows = data.rows > 0 ? data.rows : config.windows_per_step / ranks;
  uint64_t seed = 0;
  if (data.loader == "mixture" && !parse_data_seed(data.seed, &seed)) seed = mixture_seed_of_files(files);
  std::vector<std::unique_ptr<TrainLoader>> loaders;
  for (int r = static_cast<int>(first); r < first + count; ++r) {
    std::unique_ptr<TrainLoader> loader;
    if (data.loader == "mixture") {
      loader = std::make_unique<MixtureLoader>(files, r, ranks, config.seq_len, vocab, rows, seed, data.ramp_batches);
    } else if (data.loader == "stream") {
      loader = std::make_unique<StreamLoader>(files, r, ranks, config.seq_len, vocab, rows);
    } else {
      loader = std::make_unique<ShuffledLoader>(files, r, ranks, config.seq_len, vocab);
    }
    if (data.prefetch > 0) {
      loader = std::make_unique<PrefetchLoader>(std::move(loader), config.micro_windows, config.seq_len, data.prefetch);
    }
    loaders.push_back(std::move(loader));
  }
  return loaders;
}

}  // namespace sixteen
