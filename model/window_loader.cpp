// See window_loader.h.
#include "model/window_loader.h"

#include <sstream>

#include "formats/check.h"
#include "formats/error.h"

namespace sixteen {

void WindowLoader::next_batch(int64_t rows, int32_t* inputs, int32_t* targets) {
  windows_.resize(rows);
  for (TrainWindow& window : windows_) window = next_window();
  drawn_ += rows;
  shards_.will_need(merge_slabs(windows_, seq_len_));
  for (int64_t row = 0; row < rows; ++row) {
    shards_.read(windows_[row], seq_len_, inputs + row * seq_len_, targets + row * seq_len_);
  }
}

std::string WindowLoader::place() const {
  std::ostringstream line;
  line << order() << " seq_len " << seq_len_ << " shards " << shards_.token_counts().size() << " tokens "
       << shards_.tokens() << " drawn ";
  return line.str();
}

std::string WindowLoader::state() const { return place() + std::to_string(drawn_); }

void WindowLoader::restore(const std::string& state) {
  const std::string mine = place();
  int64_t drawn = -1;
  std::istringstream rest(state.size() > mine.size() ? state.substr(mine.size()) : "");
  rest >> drawn;
  if (!state.starts_with(mine) || rest.fail() || !rest.eof() || drawn < 0) {
    fail("the training data is not the one this run was saved with: saved '", state, "', now '", this->state(),
         "'; resume with the same shards, seq_len, virtual_ranks and [train.data]");
  }
  CHECK(drawn_ <= drawn);
  for (; drawn_ < drawn; ++drawn_) next_window();
}

}  // namespace sixteen
