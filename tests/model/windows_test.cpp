// Windows against the counts of spec 11.2, the golden scoring order, and the properties that make a score legal: every
// target once, in order, from tokens before it, and nothing trained on before it is scored.
#include "model/windows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

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

TEST(Windows, GoldenOrderOf1584) {
  REQUIRE_SHARED("oracle/eval/eval.safetensors");
  const SafetensorsFile file(testing::shared_path("oracle/eval/eval.safetensors"));
  const auto ints = [&](const std::string& name) {
    const TensorView& tensor = file.at(name);
    std::vector<int32_t> values(tensor.numel());
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    return values;
  };
  const std::vector<int32_t> starts = ints("1584.sliding.ws"), positions = ints("1584.sliding.target_pos");
  std::vector<int32_t> our_starts, our_positions, chunk_starts;
  for (const Window& window : sliding_windows(5113, 64, 8, true)) {
    for (int64_t i = 0; i < window.scored; ++i) {
      our_starts.push_back(static_cast<int32_t>(window.start));
      our_positions.push_back(static_cast<int32_t>(window.first_target() + i));
    }
  }
  EXPECT_EQ(our_starts, starts);
  EXPECT_EQ(our_positions, positions);
  std::vector<int32_t> steps;  // three epochs a training chunk, one batch an epoch
  const std::vector<Chunk> chunks = ttt_chunks(5113, 64, 8, 256, true);
  for (size_t c = 0; c < chunks.size(); ++c) {
    for (const Window& window : chunks[c].windows) {
      chunk_starts.insert(chunk_starts.end(), window.scored, static_cast<int32_t>(window.start));
    }
    if (!chunks[c].train_starts.empty()) steps.insert(steps.end(), 3, static_cast<int32_t>(c));
  }
  EXPECT_EQ(chunk_starts, starts);
  EXPECT_EQ(steps, ints("1584.ttt.step_chunk"));
}

}  // namespace
}  // namespace sixteen
