// PR 726's plan against the original loader's (golden data, 7,300 batches at real scale) and the spec's worked example.
#include "model/mixture_plan.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <set>

#include "tests/model/golden_loader.h"

namespace sixteen {
namespace {

using testing::GoldenLoader;

// As the original spells them: FOLDER/fineweb_train_000000.bin, ...
std::vector<std::string> fineweb_paths(const std::string& folder, int count) {
  std::vector<std::string> paths;
  for (int i = 0; i < count; ++i) {
    char name[64];
    std::snprintf(name, sizeof(name), "/fineweb_train_%06d.bin", i);
    paths.push_back(folder + name);
  }
  return paths;
}

uint64_t hex(const std::string& text) { return std::stoull(text, nullptr, 16); }

TEST(MixturePlan, SeedOfPatternAndPaths) {  // spec_726_754 2.2.2 and A.7
  const std::vector<std::string> tiny = {"p0", "p1", "p2"};
  const std::vector<int64_t> tokens = {10000, 7000, 3000}, real(80, 100000000);
  EXPECT_EQ(mixture_seed("a", {}, {}), 0x44bd8ad473cd9906u);
  EXPECT_EQ(mixture_seed("p*", {}, {}), 0x9be58d00c68bda59u);
  EXPECT_EQ(mixture_seed("p*", tiny, tokens), 0x71f0e90761e7e4bbu);
  const std::string folder = "./data/datasets/fineweb10B_sp1024";  // the pattern keeps "./", the paths lose it
  const std::string pattern = folder + "/fineweb_train_*.bin";
  EXPECT_EQ(mixture_seed(pattern, fineweb_paths(folder, 80), real), 0x1c4ef7d1e32f71f5u);
  EXPECT_EQ(mixture_seed(pattern, fineweb_paths(".//data/./datasets/fineweb10B_sp1024/", 80), real),
            0x1c4ef7d1e32f71f5u);
  EXPECT_NE(mixture_seed(pattern, fineweb_paths("/data/datasets/fineweb10B_sp1024", 80), real), 0x1c4ef7d1e32f71f5u);
}

TEST(MixturePlan, WorkedExample) {  // spec_726_754 A.7
  MixturePlan plan({10000, 7000, 3000}, 128, 8, 2, 0x71f0e90761e7e4bb);
  const std::vector<std::vector<TrainWindow>> expected = {
      {{0, 2846}, {1, 64}, {2, 242}, {0, 7582}, {2, 1394}, {1, 3008}, {1, 1984}, {1, 5952}},
      {{2, 1906}, {1, 1088}, {0, 2078}, {1, 4032}, {2, 754}, {0, 7198}, {1, 5056}, {0, 2462}},
      {{0, 1694}, {1, 2112}, {2, 2418}, {1, 3136}, {0, 6814}, {1, 6080}, {0, 1310}, {0, 6430}}};
  for (const auto& batch : expected) {
    const std::span<const TrainWindow> got = plan.next();
    EXPECT_EQ(std::vector<TrainWindow>(got.begin(), got.end()), batch);
  }
}

TEST(MixturePlan, SeedOfTheRecord) {  // the published runs of PR 726, spec_726_754 A.7
  MixturePlan plan(std::vector<int64_t>(80, 100000000), 2048, 384, 8, 0x60d3f062d614fdc2);
  const std::vector<TrainWindow> first = {{79, 3228362},  {74, 10358691}, {56, 68478267}, {10, 10405398},
                                          {66, 25243786}, {15, 36954906}, {22, 81695607}, {3, 14584068}};
  const std::span<const TrainWindow> got = plan.next();
  EXPECT_EQ(std::vector<TrainWindow>(got.begin(), got.begin() + 8), first);
  EXPECT_EQ(plan.next()[0], (TrainWindow{34, 35394326}));
}

TEST(MixturePlan, SmallShardsGolden) {
  REQUIRE_SHARED(GoldenLoader::kFile);
  const GoldenLoader golden;
  int compared = 0;
  for (const auto& [name, c] : golden.cases("726.W")) {
    const std::vector<int64_t> tokens = golden.shard_tokens();
    const int64_t world = c["world_size"], rows = c["rows_per_rank"];
    const std::vector<std::string> paths = c["paths"];
    EXPECT_EQ(mixture_seed(c["pattern"], paths, tokens), hex(c["seed_hex"]));
    MixturePlan plan(tokens, c["seq_len"], rows * world, world, hex(c["seed_hex"]));
    const std::vector<int32_t> expected = golden.values<int32_t>(name + ".plan");
    ASSERT_EQ(expected.size(), c["batches"].get<size_t>() * rows * world * 2);
    for (size_t i = 0; i < expected.size();) {
      for (const TrainWindow& window : plan.next()) {
        ASSERT_EQ(window.shard, expected[i++]) << name << " entry " << i / 2;
        ASSERT_EQ(window.start, expected[i++]) << name << " entry " << i / 2;
        ++compared;
      }
    }
  }
  EXPECT_EQ(compared, 50 * (12 + 5 + 24 + 10));
}

void expect_batch(std::span<const TrainWindow> batch, const int32_t* expected) {
  for (const TrainWindow& window : batch) {
    ASSERT_EQ(window.shard, *expected++);
    ASSERT_EQ(window.start, *expected++);
  }
}

TEST(MixturePlan, RealScaleGolden) {
  REQUIRE_SHARED(GoldenLoader::kFile);
  const GoldenLoader golden;
  for (const auto& [name, c] : golden.cases("726.real")) {
    const int shards = c["shards"];
    const std::vector<int64_t> tokens(shards, c["tokens_per_shard"].get<int64_t>());
    const std::string first = c["first_path"];
    const uint64_t seed = mixture_seed(c["pattern"], fineweb_paths(first.substr(0, first.rfind('/')), shards), tokens);
    const int64_t world = c["world_size"], windows = c["rows_per_rank"].get<int64_t>() * world;
    MixturePlan plan(tokens, c["seq_len"], windows, world, seed);
    const auto full = golden.values<int32_t>(name + ".full_plans");
    const auto sums = golden.values<int64_t>(name + ".position_sums");
    const auto marks = golden.values<int32_t>(name + ".batch_first_second_last_nshards");
    const std::vector<int64_t> full_of = c["full_plans_of_batches"];
    size_t next_full = 0, next_mark = 0;
    for (int64_t b = 0; b < c["batches"].get<int64_t>(); ++b) {
      const std::span<const TrainWindow> batch = plan.next();
      int64_t sum = 0;
      std::set<int32_t> distinct;
      for (const TrainWindow& window : batch) {
        sum += window.start;
        distinct.insert(window.shard);
      }
      ASSERT_EQ(sum, sums[b]) << name << " batch " << b;
      if (next_full < full_of.size() && full_of[next_full] == b) {
        expect_batch(batch, &full[2 * windows * next_full++]);
      }
      if (8 * next_mark < marks.size() && marks[8 * next_mark] == b) {
        const int32_t* mark = &marks[8 * next_mark++];
        const TrainWindow ends[3] = {batch[0], batch[1], batch.back()};
        expect_batch(ends, mark + 1);
        ASSERT_EQ(static_cast<int32_t>(distinct.size()), mark[7]) << name << " batch " << b;
      }
    }
    EXPECT_EQ(next_full, full_of.size());
    EXPECT_EQ(8 * next_mark, marks.size());
  }
}

// Short shards: a cursor's turn ends within a take; each turn reads every block once, and shards that have none are left out.
TEST(MixturePlan, EveryTurnReadsEveryBlock) {
  MixturePlan plan({5, 70, 8, 40}, 8, 6, 1, 3, 10);
  std::map<int32_t, std::vector<int32_t>> starts;
  for (int b = 0; b < 300; ++b) {
    for (const TrainWindow& window : plan.next()) starts[window.shard].push_back(window.start);
  }
  ASSERT_EQ(starts.size(), 2u);
  for (const auto& [shard, list] : starts) {
    for (const int32_t start : list) EXPECT_LE(start + 9, shard == 1 ? 70 : 40);
    EXPECT_EQ(std::set<int32_t>(list.begin(), list.end()).size(), shard == 1 ? 62u : 32u);  // all phases came
  }
}

}  // namespace
}  // namespace sixteen
