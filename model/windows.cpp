// See windows.h. kExact makes plain windows too (stride = seq): the first window scores all it has, every later one the next
// `stride` targets (or what is left) from a full window that ends with them.
#include "model/windows.h"

#include <algorithm>

#include "formats/check.h"

namespace sixteen {
namespace {

int64_t usable_targets(int64_t targets, int64_t seq, bool drop_tail) {
  return drop_tail ? targets / seq * seq : targets;
}

std::vector<Window> exact_windows(int64_t usable, int64_t seq, int64_t stride) {
  std::vector<Window> windows;
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

std::vector<Window> tail_repeated_windows(int64_t usable, int64_t seq, int64_t stride) {
  std::vector<Window> windows;
  for (int64_t start = 0; start < usable; start += stride) {
    const int64_t inputs = std::min(seq, usable - start);
    windows.push_back({start, seq, start == 0 ? inputs : std::min(stride, inputs), seq - inputs});
  }
  return windows;
}

std::vector<Window> full_windows(int64_t usable, int64_t seq, int64_t stride) {
  std::vector<Window> windows;
  for (int64_t start = 0; start + seq <= usable; start += stride) {
    windows.push_back({start, seq, stride, start == 0 ? seq - stride : 0});
  }
  return windows;
}

}  // namespace

const char* edge_name(Edge edge) {
  switch (edge) {
    case Edge::kExact: return "exact";
    case Edge::kTailRepeated: return "tail_repeated";
    case Edge::kFullOnly: return "full_only";
  }
  CHECK(false);
}

bool parse_edge(const std::string& name, Edge* edge) {
  for (const Edge known : {Edge::kExact, Edge::kTailRepeated, Edge::kFullOnly}) {
    if (name != edge_name(known)) continue;
    *edge = known;
    return true;
  }
  return false;
}

std::vector<Window> plain_windows(int64_t targets, int64_t seq, bool drop_tail) {
  return sliding_windows(targets, seq, seq, drop_tail);
}

std::vector<Window> sliding_windows(int64_t targets, int64_t seq, int64_t stride, bool drop_tail, Edge edge) {
  CHECK(targets >= 0 && seq > 0 && stride > 0 && stride <= seq);
  const int64_t usable = usable_targets(targets, seq, drop_tail);
  if (usable == 0) return {};
  switch (edge) {
    case Edge::kExact: return exact_windows(usable, seq, stride);
    case Edge::kTailRepeated: return tail_repeated_windows(usable, seq, stride);
    case Edge::kFullOnly: return full_windows(usable, seq, stride);
  }
  CHECK(false);
}

std::vector<Chunk> ttt_chunks(int64_t targets, int64_t seq, int64_t stride, int64_t chunk, bool drop_tail, Edge edge) {
  CHECK(chunk > 0 && edge != Edge::kFullOnly);
  std::vector<Window> windows = sliding_windows(targets, seq, stride, drop_tail, edge);
  if (windows.empty()) return {};
  if (edge == Edge::kTailRepeated) std::erase_if(windows, [&](const Window& w) { return w.start > 0 && w.scored < stride; });
  const int64_t usable = usable_targets(targets, seq, drop_tail);
  std::vector<Chunk> chunks((usable + chunk - 1) / chunk);
  for (const Window& window : windows) chunks[(window.first_target() - 1) / chunk].windows.push_back(window);
  for (size_t c = 0; c + 1 < chunks.size(); ++c) {
    const int64_t begin = static_cast<int64_t>(c) * chunk;
    for (int64_t start = begin; start + seq <= begin + chunk; start += seq) chunks[c].train_starts.push_back(start);
  }
  return chunks;
}

Coverage coverage(const std::vector<Window>& windows, int64_t targets) {
  Coverage result;
  int64_t end = 1;  // targets before it have been scored or passed over
  int64_t distinct = 0;
  for (const Window& window : windows) {
    const int64_t first = window.first_target(), after = first + window.scored;
    const int64_t fresh = std::max<int64_t>(0, after - std::max(first, end));
    distinct += fresh;
    result.repeated += window.scored - fresh;
    end = std::max(end, after);
  }
  result.never = targets - distinct;
  return result;
}

}  // namespace sixteen
