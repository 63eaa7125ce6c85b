// Windows against the counts of spec 11.2, the golden scoring order, and the properties that make a score legal: every
// target once, in order, from tokens before it, and nothing trained on before it is scored.
#include "model/windows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "formats/safetensors.h"
#include "tests/support/shared_data.h"

namespace sixteen {
namespace {

// The targets 1 .. usable, each once and in order, from windows within the stream that are full where they can be.
void expect_exact_coverage(const std::vector<Window>& windows, int64_t usable, int64_t seq) {
  int64_t next = 1;
  for (const Window& window : windows) {
    ASSERT_GE(window.start, 0);
    ASSERT_GT(window.scored, 0);
    ASSERT_LE(window.scored, window.length);
    ASSERT_EQ(window.length, std::min(seq, usable));
    ASSERT_EQ(window.first_target(), next);
    next += window.scored;
    ASSERT_EQ(window.start + window.length, next - 1);
  }
  ASSERT_EQ(next, usable + 1);
}

TEST(Windows, RecordCounts) {
  constexpr int64_t kTargets = 40540160, kSeq = 2048;
  for (const bool drop : {false, true}) {
    EXPECT_EQ(plain_windows(kTargets, kSeq, drop).size(), 19795u);
    const std::vector<Window> windows = sliding_windows(kTargets, kSeq, 64, drop);
    EXPECT_EQ(windows.size(), 633409u);
    expect_exact_coverage(windows, kTargets, kSeq);
    const std::vector<Chunk> chunks = ttt_chunks(kTargets, kSeq, 64, 32768, drop);
    ASSERT_EQ(chunks.size(), 1238u);
    int64_t rows = 0;
    for (size_t c = 0; c < chunks.size(); ++c) {
      EXPECT_EQ(chunks[c].windows.size(), c == 0 ? 481u : c + 1 == chunks.size() ? 96u : 512u) << c;
      rows += static_cast<int64_t>(chunks[c].train_starts.size());
    }
    EXPECT_EQ(rows, 1237 * 16);
    EXPECT_TRUE(chunks.back().train_starts.empty());
  }
}

TEST(Windows, DropTailKeepsWholeWindowsOnly) {
  const std::vector<Window> dropped = plain_windows(70, 32, true);
  ASSERT_EQ(dropped.size(), 2u);
  EXPECT_EQ(dropped[1].start, 32);
  const std::vector<Window> exact = plain_windows(70, 32, false);
  ASSERT_EQ(exact.size(), 3u);
  EXPECT_EQ(exact[2].start, 38);  // full context for the last six targets
  EXPECT_EQ(exact[2].scored, 6);
  EXPECT_EQ(exact[2].first_target(), 65);
}

TEST(Windows, ShortStreams) {
  EXPECT_TRUE(sliding_windows(0, 32, 4, false).empty());
  EXPECT_TRUE(ttt_chunks(0, 32, 4, 64, false).empty());
  EXPECT_TRUE(sliding_windows(31, 32, 4, true).empty());
  EXPECT_TRUE(ttt_chunks(31, 32, 4, 64, true).empty());
  const std::vector<Window> one = sliding_windows(7, 32, 4, false);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].length, 7);
  EXPECT_EQ(one[0].scored, 7);
}

TEST(Windows, EveryTargetOnceInOrder) {
  for (const int64_t seq : {1, 2, 7, 16, 64}) {
    for (int64_t stride = 1; stride <= seq; stride = stride < seq && stride * 2 > seq ? seq : stride * 2) {
      for (int64_t targets = 1; targets < 4 * seq + 5; ++targets) {
        SCOPED_TRACE(::testing::Message() << "seq " << seq << " stride " << stride << " targets " << targets);
        expect_exact_coverage(sliding_windows(targets, seq, stride, false), targets, seq);
        expect_exact_coverage(plain_windows(targets, seq, false), targets, seq);
        expect_exact_coverage(sliding_windows(targets, seq, stride, true), targets / seq * seq, seq);
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Chunks are the sliding windows, cut; what a chunk trains on (targets start + 1 .. start + seq) was scored by then,
// and every target of a chunk is trained on but the last ones that fill no row.
TEST(Windows, ChunksScoreFirst) {
  for (const int64_t seq : {8, 16}) {
    for (const int64_t stride : {3, 4, 8}) {
      for (const int64_t chunk : {16, 32, 40, 56}) {
        for (const int64_t targets : {1, 7, 16, 31, 32, 33, 56, 57, 100, 224, 225, 301}) {
          SCOPED_TRACE(::testing::Message() << seq << " " << stride << " " << chunk << " " << targets);
          const std::vector<Chunk> chunks = ttt_chunks(targets, seq, stride, chunk, false);
          ASSERT_EQ(static_cast<int64_t>(chunks.size()), (targets + chunk - 1) / chunk);
          std::vector<Window> all;
          for (size_t c = 0; c < chunks.size(); ++c) {
            for (const Window& window : chunks[c].windows) {
              ASSERT_EQ((window.first_target() - 1) / chunk, static_cast<int64_t>(c));
              all.push_back(window);
            }
            const int64_t scored = all.back().start + all.back().length;  // targets 1 .. scored are known
            for (const int64_t start : chunks[c].train_starts) ASSERT_LE(start + seq, scored);
            ASSERT_EQ(static_cast<int64_t>(chunks[c].train_starts.size()), c + 1 < chunks.size() ? chunk / seq : 0);
          }
          expect_exact_coverage(all, targets, seq);
        }
      }
    }
  }
}

TEST(Edges, RecordCounts) {  // spec_726_754 7.2-7.4 and appendix B
  constexpr int64_t kTargets = 62021632, kSeq = 2048;
  const std::vector<Window> repeated = sliding_windows(kTargets, kSeq, 64, true, Edge::kTailRepeated);
  EXPECT_EQ(repeated.size(), 969088u);
  int64_t scored = 0;
  for (const Window& window : repeated) scored += window.scored;
  EXPECT_EQ(scored, 62023616);
  EXPECT_EQ(coverage(repeated, kTargets).repeated, 31 * 64);
  EXPECT_EQ(coverage(repeated, kTargets).never, 0);
  const std::vector<Window> full = sliding_windows(kTargets, kSeq, 64, true, Edge::kFullOnly);
  EXPECT_EQ(full.size(), 969057u);
  scored = 0;
  for (const Window& window : full) scored += window.scored;
  EXPECT_EQ(scored, 62019648);
  EXPECT_EQ(coverage(full, kTargets).repeated, 0);
  EXPECT_EQ(coverage(full, kTargets).never, 1984);
  const std::vector<Chunk> chunks = ttt_chunks(kTargets, kSeq, 64, 32768, true, Edge::kTailRepeated);
  ASSERT_EQ(chunks.size(), 1893u);
  for (size_t c = 0; c < chunks.size(); ++c) {
    ASSERT_EQ(chunks[c].windows.size(), c == 0 ? 481u : c + 1 == chunks.size() ? 415u : 512u) << c;
    ASSERT_EQ(chunks[c].train_starts.size(), c + 1 == chunks.size() ? 0u : 16u) << c;
  }
}

// Against the rules in the words of the spec: starts, and the scored span of each window.
TEST(Edges, SpansOfEveryWindow) {
  for (const int64_t seq : {1, 4, 12, 16}) {
    for (const int64_t stride : {1, 3, 4, 12}) {
      if (stride > seq) continue;
      for (int64_t targets = 1; targets < 70; ++targets) {
        SCOPED_TRACE(::testing::Message() << "seq " << seq << " stride " << stride << " targets " << targets);
        std::vector<std::vector<int64_t>> repeated, full, ours;
        for (int64_t start = 0; start < targets; start += stride) {
          const int64_t length = std::min(seq, targets - start);
          const int64_t first = start == 0 ? 0 : std::max<int64_t>(length - stride, 0);
          repeated.push_back({start, start + first + 1, start + length});  // first and last target
        }
        for (int64_t start = 0; start + seq <= targets; start += stride) {
          const int64_t first = start == 0 ? 0 : seq - stride, last = start == 0 ? stride : seq;
          full.push_back({start, start + first + 1, start + last});
        }
        const auto spans = [&](Edge edge) {
          std::vector<std::vector<int64_t>> all;
          for (const Window& w : sliding_windows(targets, seq, stride, false, edge)) {
            EXPECT_EQ(w.length, seq);
            all.push_back({w.start, w.first_target(), w.first_target() + w.scored - 1});
          }
          return all;
        };
        ASSERT_EQ(spans(Edge::kTailRepeated), repeated);
        ASSERT_EQ(spans(Edge::kFullOnly), full);
      }
    }
  }
}

TEST(Edges, CoverageCountsWhatIsScoredTwiceAndNever) {
  EXPECT_EQ(coverage({}, 9).never, 9);
  for (const int64_t targets : {33, 40, 64, 71}) {
    for (const Edge edge : {Edge::kExact, Edge::kTailRepeated, Edge::kFullOnly}) {
      const std::vector<Window> windows = sliding_windows(targets, 32, 5, false, edge);
      std::vector<int> times(static_cast<size_t>(targets + 1));
      for (const Window& w : windows) {
        for (int64_t i = 0; i < w.scored; ++i) ++times[static_cast<size_t>(w.first_target() + i)];
      }
      int64_t repeated = 0;
      for (const int n : times) repeated += std::max(0, n - 1);
      const int64_t never = std::count(times.begin() + 1, times.end(), 0);
      EXPECT_EQ(coverage(windows, targets).repeated, repeated);
      EXPECT_EQ(coverage(windows, targets).never, never);
      EXPECT_EQ(repeated > 0, edge == Edge::kTailRepeated);
      EXPECT_EQ(never > 0, edge == Edge::kFullOnly);
    }
  }
}

TEST(Edges, NamesRoundTrip) {
  for (const Edge edge : {Edge::kExact, Edge::kTailRepeated, Edge::kFullOnly}) {
    Edge parsed = edge == Edge::kExact ? Edge::kFullOnly : Edge::kExact;
    EXPECT_TRUE(parse_edge(edge_name(edge), &parsed));
    EXPECT_EQ(parsed, edge);
    EXPECT_FALSE(parse_edge(std::string(edge_name(edge)) + " ", &parsed));
  }
}

TEST(Windows, GoldenOrder) {
  REQUIRE_SHARED("oracle/eval/eval.safetensors");
  const SafetensorsFile file(testing::shared_path("oracle/eval/eval.safetensors"));
  const auto ints = [&](const std::string& name) {
    const TensorView& tensor = file.at(name);
    std::vector<int32_t> values(tensor.numel());
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    return values;
  };
  std::vector<int32_t> starts, positions;
  const auto list = [&](const std::vector<Window>& windows) {
    for (const Window& window : windows) {
      for (int64_t i = 0; i < window.scored; ++i) {
        starts.push_back(static_cast<int32_t>(window.start));
        positions.push_back(static_cast<int32_t>(window.first_target() + i));
      }
    }
  };
  const auto expect_order = [&](const std::string& name) {
    EXPECT_EQ(starts, ints(name + ".ws")) << name;
    EXPECT_EQ(positions, ints(name + ".target_pos")) << name;
    starts.clear();
    positions.clear();
  };
  for (const auto& [name, edge] : std::map<std::string, Edge>{
           {"1584.sliding", Edge::kExact}, {"726.sliding", Edge::kTailRepeated}, {"754.sliding", Edge::kFullOnly}}) {
    list(sliding_windows(5113, 64, 8, true, edge));
    expect_order(name);
  }
  for (const auto& [pr, edge] : std::map<std::string, Edge>{{"1584", Edge::kExact}, {"726", Edge::kTailRepeated}}) {
    std::vector<int32_t> steps;  // three epochs a training chunk, one batch an epoch
    const std::vector<Chunk> chunks = ttt_chunks(5113, 64, 8, 256, true, edge);
    for (size_t c = 0; c < chunks.size(); ++c) {
      list(chunks[c].windows);
      if (!chunks[c].train_starts.empty()) steps.insert(steps.end(), 3, static_cast<int32_t>(c));
    }
    expect_order(pr + ".sliding");
    EXPECT_EQ(steps, ints(pr + ".ttt.step_chunk"));
  }
}

}  // namespace
}  // namespace sixteen
