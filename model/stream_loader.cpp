// See stream_loader.h.
#include "model/stream_loader.h"

#include "formats/check.h"
#include "formats/error.h"

namespace sixteen {

StreamLoader::StreamLoader(std::vector<std::string> files, int rank, int world, int64_t seq_len, int64_t vocab,
                           int64_t rows)
    : WindowLoader(TrainShards(std::move(files), vocab), seq_len), rank_(rank), world_(world), rows_(rows) {
  CHECK(rank >= 0 && rank < world && rows > 0);
  if (shards().tokens() > seq_len) return;
  fail(this->files().front(), this->files().size() > 1 ? " and on" : "", ": ", shards().tokens(),
       " training tokens, but one window needs ", seq_len + 1, "; lower seq_len or give more text");
}

TrainWindow StreamLoader::next_window() {
  const int64_t round = next_ / rows_, row = next_ % rows_;
  ++next_;
  const int64_t span = (round * world_ + rank_) * (rows_ * seq_len() + 1);
  int64_t at = (span + row * seq_len()) % shards().tokens();
  int32_t shard = 0;
  while (at >= shards().token_counts()[shard]) at -= shards().token_counts()[shard++];
  return {shard, static_cast<int32_t>(at)};
}

std::string StreamLoader::order() const {
  return "stream rank " + std::to_string(rank_) + " world " + std::to_string(world_) + " rows " + std::to_string(rows_);
}

}  // namespace sixteen
