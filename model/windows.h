// Which windows exist and which targets each scores (spec_1584 7.1-7.3, spec_726_754 7.1-7.4): the bookkeeping that decides
// whether a score is legal.
//
// The stream is tokens[0 .. n]; target t (1 <= t <= n) is predicted from tokens before it. A window covers inputs
// [start, start + length), its position p predicts target start + p + 1; it scores `scored` positions, those before its last
// `unscored` ones. drop_tail keeps whole windows only, as the records do: usable = floor(n / seq) * seq.
// Bites: under kExact every target is scored once and in order. The other two rules exist for parity with records: one scores
// the last targets again and again, the other leaves the first ones out; coverage() counts both. A window may run over the
// stream's end (kTailRepeated): inputs beyond it are id 0 and predict nothing, as in the records, so that the length of
// the forward pass, and with it the rotary base, is that of every other window.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sixteen {

struct Window {
  int64_t start = 0, length = 0, scored = 0;
  int64_t unscored = 0;                                    // last positions that score nothing
  int64_t tail() const { return scored + unscored; }       // last positions whose outputs are needed
  int64_t first_target() const { return start + length - tail() + 1; }  // index of the first scored target in the stream
};

enum class Edge : uint8_t {
  kExact,         // every target once: the first window scores all it has, each later one the next `stride` targets
  kTailRepeated,  // #726, and test-time training of #726/#754: windows start at 0, stride, ... < usable; those that run over
                  // the end score the last `stride` targets once more
  kFullOnly,      // #754's own evaluation: full windows, and of the first one only the first `stride` positions
};
const char* edge_name(Edge edge);                        // "exact", "tail_repeated", "full_only": as configs spell them
bool parse_edge(const std::string& name, Edge* edge);    // false: no such rule

// Non-overlapping windows of `seq` (plain evaluation). targets = number of targets = tokens - 1.
std::vector<Window> plain_windows(int64_t targets, int64_t seq, bool drop_tail);

// Windows every `stride`; each scores its last `stride` positions, but for what `edge` says.
std::vector<Window> sliding_windows(int64_t targets, int64_t seq, int64_t stride, bool drop_tail, Edge edge = Edge::kExact);

// Score-first test-time training: chunk c scores `windows` and then trains on rows of inputs starting at `train_starts` (length seq
// each). The last chunk does not train. A window belongs to the chunk of its first scored target; chunks are `chunk` targets.
// kTailRepeated drops windows shorter than `stride`, as the records' training evaluators do; kFullOnly would train on targets
// that are never scored (CHECKed).
struct Chunk {
  std::vector<Window> windows;
  std::vector<int64_t> train_starts;
};
std::vector<Chunk> ttt_chunks(int64_t targets, int64_t seq, int64_t stride, int64_t chunk, bool drop_tail,
                              Edge edge = Edge::kExact);

// How often targets 1 .. `targets` are scored by windows of ascending ends.
struct Coverage {
  int64_t repeated = 0;  // scores of a target that was scored before
  int64_t never = 0;     // targets that no window scores
};
Coverage coverage(const std::vector<Window>& windows, int64_t targets);

}  // namespace sixteen
