// The stream and the mixture against golden data, and what holds for every data order: batch cuts, resume, reading ahead.
#include "model/train_loader.h"

#include <gtest/gtest.h>

#include "formats/error.h"
#include "model/mixture_loader.h"
#include "model/prefetch_loader.h"
#include "model/shuffled_loader.h"
#include "model/stream_loader.h"
#include "tests/model/golden_loader.h"
#include "tests/support/bytes.h"
#include "tests/support/scratch.h"

namespace sixteen {
namespace {

using testing::error_of;
using testing::expect_error;
using testing::GoldenLoader;
using testing::Scratch;

using Made = std::unique_ptr<TrainLoader>;

struct Batch {
  std::vector<int32_t> x, y;
  bool operator==(const Batch&) const = default;
};

Batch next(TrainLoader& loader, int64_t rows, int64_t seq_len) {
  Batch batch{std::vector<int32_t>(rows * seq_len), std::vector<int32_t>(rows * seq_len)};
  loader.next_batch(rows, batch.x.data(), batch.y.data());
  return batch;
}

TEST(StreamLoader, Golden) {
  REQUIRE_SHARED(GoldenLoader::kFile);
  const GoldenLoader golden;
  size_t compared = 0;
  for (const auto& [name, c] : golden.cases("754.")) {
    const int64_t seq = c["seq_len"], rows = c["rows_per_batch"];
    StreamLoader loader(find_train_shards(golden.folder()), c["rank"], c["world_size"], seq, golden.kVocab, rows);
    const std::vector<int32_t> expected = golden.values<int32_t>(name + ".tokens");
    for (size_t at = 0; at < expected.size(); ++compared) {
      const Batch batch = next(loader, rows, seq);
      for (int64_t row = 0; row < rows; ++row, at += seq + 1) {
        for (int64_t t = 0; t < seq; ++t) {
          ASSERT_EQ(batch.x[row * seq + t], expected[at + t]) << name << " batch " << compared;
          ASSERT_EQ(batch.y[row * seq + t], expected[at + t + 1]) << name << " batch " << compared;
        }
      }
    }
  }
  EXPECT_EQ(compared, 3u * 50);
}

TEST(MixtureLoader, RanksShareTheGoldenPlan) {
  REQUIRE_SHARED(GoldenLoader::kFile);
  const GoldenLoader golden;
  const nlohmann::json c = golden.cases("726.W2.seq24").begin()->second;
  const std::vector<int32_t> plan = golden.values<int32_t>("726.W2.seq24.plan");
  const int64_t seq = c["seq_len"], rows = c["rows_per_rank"];
  for (int rank = 0; rank < 2; ++rank) {
    MixtureLoader loader(find_train_shards(golden.folder()), rank, 2, seq, golden.kVocab, rows,
                         std::stoull(c["seed_hex"].get<std::string>(), nullptr, 16));
    for (int64_t b = 0; b < 50; ++b) {
      const Batch batch = next(loader, rows, seq);
      for (int64_t row = 0; row < rows; ++row) {
        const int32_t* want = &plan[2 * (b * 2 * rows + row * 2 + rank)];
        ASSERT_EQ(loader.windows()[row], (TrainWindow{want[0], want[1]})) << "batch " << b << " row " << row;
        for (int64_t t = 0; t < seq; ++t) {
          ASSERT_EQ(batch.x[row * seq + t], golden.token(want[0], want[1] + t));
          ASSERT_EQ(batch.y[row * seq + t], golden.token(want[0], want[1] + t + 1));
        }
      }
    }
  }
}

TEST(TrainShards, MergesNearbyWindows) {  // gap of seq_len / 2 = 4; a window holds 9 tokens
  const std::vector<TrainWindow> windows = {{1, 40}, {0, 100}, {1, 3}, {0, 8}, {0, 21}, {0, 35}, {0, 9}};
  const std::vector<Slab> expected = {{0, 8, 30}, {0, 35, 44}, {0, 100, 109}, {1, 3, 12}, {1, 40, 49}};
  EXPECT_EQ(merge_slabs(windows, 8), expected);  // 21 <= 18 + 4, but 35 > 30 + 4
  EXPECT_TRUE(merge_slabs({}, 8).empty());
}

class EveryLoader : public ::testing::TestWithParam<std::string> {
 protected:
  static constexpr int64_t kSeq = 16, kRows = 6, kVocab = 50000;
  EveryLoader() {
    for (int i = 0; i < 5; ++i) {
      std::vector<uint16_t> tokens(300 + 50 * i);
      for (size_t t = 0; t < tokens.size(); ++t) tokens[t] = static_cast<uint16_t>(1000 * i + t);
      write_shard(scratch_.path("t_train_" + std::to_string(i) + ".bin"), tokens);
    }
  }
  Made make(int rank = 1, int world = 2, int64_t vocab = kVocab) const {
    const std::vector<std::string> files = find_train_shards(scratch_.folder());
    if (GetParam() == "shuffled") return std::make_unique<ShuffledLoader>(files, rank, world, kSeq, vocab);
    if (GetParam() == "stream") return std::make_unique<StreamLoader>(files, rank, world, kSeq, vocab, kRows);
    return std::make_unique<MixtureLoader>(files, rank, world, kSeq, vocab, kRows, 5, 20);
  }
  Made ahead(int64_t rows, int64_t depth, int64_t vocab = kVocab) const {
    return std::make_unique<PrefetchLoader>(make(1, 2, vocab), rows, kSeq, depth);
  }
  Scratch scratch_;
};

INSTANTIATE_TEST_SUITE_P(All, EveryLoader, ::testing::Values("shuffled", "stream", "mixture"),
                         [](const auto& param) { return param.param; });

TEST_P(EveryLoader, TargetsFollowInputsAndRanksDiffer) {
  const Made loader = make(), other = make(0);
  Batch last;
  for (int b = 0; b < 40; ++b) {
    const Batch batch = next(*loader, kRows, kSeq);
    for (int64_t row = 0; row < kRows; ++row) {
      for (int64_t t = 0; t + 1 < kSeq; ++t) ASSERT_EQ(batch.y[row * kSeq + t], batch.x[row * kSeq + t + 1]);
    }
    EXPECT_NE(batch, next(*other, kRows, kSeq));
    EXPECT_NE(batch, last);
    last = batch;
  }
}

TEST_P(EveryLoader, BatchCutsChangeNothing) {
  const Made whole = make(), cut = make();
  for (int b = 0; b < 20; ++b) {
    Batch joined;
    for (const int64_t rows : {1, 3, 2}) {
      const Batch part = next(*cut, rows, kSeq);
      joined.x.insert(joined.x.end(), part.x.begin(), part.x.end());
      joined.y.insert(joined.y.end(), part.y.begin(), part.y.end());
    }
    ASSERT_EQ(next(*whole, kRows, kSeq), joined);
  }
  EXPECT_EQ(whole->state(), cut->state());
}

// In the middle of a plan or span, and past the end of all shards.
TEST_P(EveryLoader, RestoreContinuesWithTheSameBatches) {
  for (const int batches : {0, 7, 61}) {
    const Made whole = make();
    for (int b = 0; b < batches; ++b) next(*whole, 4, kSeq);
    const Made resumed = make();
    resumed->restore(whole->state());
    for (int b = 0; b < 20; ++b) ASSERT_EQ(next(*whole, 4, kSeq), next(*resumed, 4, kSeq)) << batches << " " << b;
    EXPECT_EQ(whole->state(), resumed->state());
  }
}

TEST_P(EveryLoader, RefusesForeignState) {
  const std::string state = make()->state();
  EXPECT_EQ(error_of([&] { make()->restore(state); }), "");
  for (const std::string& bad : {std::string(), state.substr(0, state.size() - 1), state + "x", state + "-1",
                                 state.substr(0, state.size() - 1) + "-1", make(0)->state()}) {
    expect_error("is not the one this run was saved with", [&] { make()->restore(bad); });
  }
}

TEST_P(EveryLoader, PrefetchGivesTheSameBatchesAndStates) {
  for (const int64_t depth : {1, 3, 8}) {
    const Made plain = make(), fast = ahead(4, depth);
    EXPECT_EQ(plain->state(), fast->state());
    EXPECT_EQ(plain->files(), fast->files());
    EXPECT_EQ(plain->tokens(), fast->tokens());
    for (int b = 0; b < 50; ++b) {
      ASSERT_EQ(next(*plain, 4, kSeq), next(*fast, 4, kSeq)) << b;
      ASSERT_EQ(plain->state(), fast->state());  // of what was handed out, not of what was read ahead
    }
    const Made resumed = ahead(4, depth);
    resumed->restore(fast->state());
    EXPECT_EQ(resumed->state(), plain->state());
    for (int b = 0; b < 5; ++b) ASSERT_EQ(next(*plain, 4, kSeq), next(*resumed, 4, kSeq));
  }
}

// The shards hold ids up to 4499, rank 1's of two up to 3449: the error must come at its batch, again at each later call, and stop nothing from ending.
TEST_P(EveryLoader, PrefetchDeliversAnErrorAtItsBatch) {
  const int64_t vocab = GetParam() == "shuffled" ? 3440 : 4480;
  const Made plain = make(1, 2, vocab), fast = ahead(1, 8, vocab);
  std::string expected;
  int good = 0;
  while (expected.empty()) {
    expected = error_of([&] { next(*plain, 1, kSeq); });
    if (!expected.empty()) break;
    ASSERT_EQ(error_of([&] { next(*fast, 1, kSeq); }), "") << "batch " << good;
    ASSERT_LT(++good, 2000);
  }
  EXPECT_GT(good, 0);
  const std::string state = fast->state();
  for (int again = 0; again < 3; ++again) EXPECT_EQ(error_of([&] { next(*fast, 1, kSeq); }), expected);
  EXPECT_EQ(fast->state(), state);
}

// Destroyed unused, with a full queue, and while the thread works.
TEST_P(EveryLoader, PrefetchStopsCleanly) {
  for (int i = 0; i < 60; ++i) {
    const Made loader = ahead(2, 1 + i % 4);
    for (int b = 0; b < i % 3; ++b) next(*loader, 2, kSeq);
  }
}

TEST_P(EveryLoader, RefusesBadShards) {
  const std::string path = scratch_.path("t_train_0.bin");
  write_file(path, read_text_file(path).substr(0, 1300));
  expect_error("t_train_0.bin: truncated", [&] { make(0, 1); });
  for (int i = 0; i < 5; ++i) {
    write_shard(scratch_.path("t_train_" + std::to_string(i) + ".bin"),
                std::vector<uint16_t>(GetParam() == "stream" ? 3 : 16, 7));
  }
  expect_error("lower seq_len or give more text", [&] { make(0, 1); });
}

}  // namespace
}  // namespace sixteen
