// The data order of PR 549 and PR 754: all shards as one stream, read from its start and around. Spec: spec_726_754 2.3.
//
// A round gives each rank a span of rows * seq_len + 1 tokens, rank 0's first; its rows share the tokens at their seams, so
// that only the span's last token is a target alone. With W ranks of one round each or one rank of W rounds the same windows
// are read.
// Bites: windows may cross the border of two shards, and documents'.
#pragma once

#include "model/window_loader.h"

namespace sixteen {

class StreamLoader : public WindowLoader {
 public:
  // rows: windows of a span. Throws Error: no files, a bad shard, fewer than seq_len + 1 tokens in all.
  StreamLoader(std::vector<std::string> files, int rank, int world, int64_t seq_len, int64_t vocab, int64_t rows);

 protected:
  TrainWindow next_window() override;
  std::string order() const override;

 private:
  int rank_, world_;
  int64_t rows_, next_ = 0;
};

}  // namespace sixteen
