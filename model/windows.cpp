// See windows.h. One rule makes all modes: the first window scores all it has, every later one scores the next `stride`
// targets (or what is left) from a full window that ends with them.
#include "model/windows.h"

#include <algorithm>

#include "formats/check.h"

namespace sixteen {

std::vector<Window> plain_windows(int64_t targets, int64_t seq, bool drop_tail) {
  return sliding_windows(targets, seq, seq, drop_tail);
}

std::vector<Window> sliding_windows(int64_t targets, int64_t seq, int64_t stride, bool drop_tail) {
  CHECK(targets >= 0 && seq > 0 && stride > 0 && stride <= seq);
  const int64_t usable = drop_tail ? targets / seq * seq : targets;
  std::vector<Window> windows;
  if (usable == 0) return windows;
  const int64_t first = std::min(seq, usable);
  windows.reserve(1 + (usable - first + stride - 1) / stride);
  windows.push_back({0, first, first});
  for (int64_t done = first; done < usable;) {
    const int64_t scored = std::min(stride, usable - done);
    done += scored;
    windows.push_back({done - seq, seq, scored});
  }
  return windows;
}

std::vector<Chunk> ttt_chunks(int64_t targets, int64_t seq, int64_t stride, int64_t chunk, bool drop_tail) {
  CHECK(chunk > 0);
  const std::vector<Window> windows = sliding_windows(targets, seq, stride, drop_tail);
  if (windows.empty()) return {};
  const int64_t usable = windows.back().start + windows.back().length;
  std::vector<Chunk> chunks((usable + chunk - 1) / chunk);
  for (const Window& window : windows) chunks[(window.first_target() - 1) / chunk].windows.push_back(window);
  for (size_t c = 0; c + 1 < chunks.size(); ++c) {
    const int64_t begin = static_cast<int64_t>(c) * chunk;
    for (int64_t start = begin; start + seq <= begin + chunk; start += seq) chunks[c].train_starts.push_back(start);
  }
  return chunks;
}

}  // namespace sixteen
