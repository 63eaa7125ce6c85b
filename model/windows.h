// Which windows exist and which targets each scores (spec 7.1-7.3): the bookkeeping that decides whether a score is legal.
//
// The stream is tokens[0 .. n]; target t (1 <= t <= n) is predicted from tokens before it. A window covers inputs
// [start, start + length), its position p predicts target start + p + 1; it scores its last `scored` positions.
// Bites: "exact" scores every target once and in order, the last partial window included; drop_tail keeps only whole windows, as
// the records do (usable = floor((n) / seq) * seq).
#pragma once

#include <cstdint>
#include <vector>

namespace sixteen {

struct Window {
  int64_t start = 0, length = 0, scored = 0;
  int64_t first_target() const { return start + length - scored + 1; }  // index of the first scored target in the stream
};

// Non-overlapping windows of `seq` (plain evaluation). targets = number of targets = tokens - 1.
std::vector<Window> plain_windows(int64_t targets, int64_t seq, bool drop_tail);

// Windows every `stride`; the first scores all, the others their last `stride` positions.
std::vector<Window> sliding_windows(int64_t targets, int64_t seq, int64_t stride, bool drop_tail);

// Score-first test-time training: chunk c scores `windows` and then trains on rows of inputs starting at `train_starts` (length seq
// each). The last chunk does not train. A window belongs to the chunk of its first scored target; chunks are `chunk` targets.
struct Chunk {
  std::vector<Window> windows;
  std::vector<int64_t> train_starts;
};
std::vector<Chunk> ttt_chunks(int64_t targets, int64_t seq, int64_t stride, int64_t chunk, bool drop_tail);

}  // namespace sixteen
