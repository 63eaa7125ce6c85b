// The window sequence against the original loader's (golden data), resume, and what bad shards get.
#include "model/shuffled_loader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>

#include "formats/error.h"
#include "tests/model/golden_loader.h"

namespace sixteen {
namespace {

using testing::GoldenLoader;

class ShardFolder {
 public:
  ShardFolder() : path_(std::filesystem::temp_directory_path() / ("sixteen-loader-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ~ShardFolder() { std::filesystem::remove_all(path_); }
  // Tokens are 0, 1, 2, ... modulo 50000, from `first` on.
  std::string add(const std::string& name, int64_t count, int first = 0) {
    std::vector<uint16_t> tokens(count);
    for (int64_t i = 0; i < count; ++i) tokens[i] = static_cast<uint16_t>((first + i) % 50000);
    write_shard((path_ / name).string(), tokens);
    return (path_ / name).string();
  }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(ShuffledPlan, TenShardsOfTheRecord) {  // spec_1584_1555 11.1
  ShuffledPlan plan(std::vector<int64_t>(10, 100000000), 2048, 0);
  EXPECT_EQ(plan.windows_left(), 10 * 48827);
  const std::vector<TrainWindow> expected = {{6, 14463481}, {5, 29437493}, {6, 76503545},
                                             {2, 78237259}, {5, 56755765}, {1, 87388114}};
  for (const TrainWindow& window : expected) EXPECT_EQ(plan.next(), window);
}

TEST(ShuffledPlan, EveryWindowOnceThenDealtAnew) {
  ShuffledPlan plan({100, 5, 0, 40}, 8, 3);
  for (int round = 0; round < 3; ++round) {
    std::vector<TrainWindow> seen;
    do {
      seen.push_back(plan.next());
    } while (plan.windows_left() > 0);
    // 11 or 12 windows of 8 in 100 tokens and 4 of 40, by the phase; none twice, none past the end.
    EXPECT_GE(seen.size(), 11u + 4u);
    std::map<int32_t, std::set<int32_t>> starts;
    for (const TrainWindow& window : seen)
      EXPECT_TRUE(starts[window.shard].insert(window.start).second) << "drawn twice";
    ASSERT_EQ(starts.size(), 2u);
    for (const auto& [shard, list] : starts) {
      EXPECT_LE(*list.rbegin() + 9, shard == 0 ? 100 : 40);
      EXPECT_LT(*list.begin(), 8);
      EXPECT_EQ(*list.rbegin() - *list.begin(), 8 * (static_cast<int32_t>(list.size()) - 1));  // end to end, no gaps
    }
  }
}

TEST(ShuffledPlan, RealScaleGolden) {
  REQUIRE_SHARED(GoldenLoader::kFile);
  const GoldenLoader golden;
  int compared = 0;
  for (const auto& [name, c] : golden.cases("1584.real.")) {
    const int rank = c["rank"], world = c["world_size"];
    const int shards = c["shards"];
    const std::vector<int64_t> tokens((shards - rank + world - 1) / world, c["tokens_per_shard"].get<int64_t>());
    ShuffledPlan plan(tokens, c["seq_len"], rank);
    const std::vector<int32_t> expected = golden.values<int32_t>(name);
    ASSERT_EQ(expected.size(), 2 * c["batches"].get<size_t>() * c["rows_per_batch"].get<size_t>());
    for (size_t i = 0; i < expected.size(); i += 2, ++compared) {
      const TrainWindow window = plan.next();
      ASSERT_EQ(window.shard * world + rank, expected[i]) << name << " window " << i / 2;
      ASSERT_EQ(window.start, expected[i + 1]) << name << " window " << i / 2;
    }
  }
  EXPECT_EQ(compared, 3 * 20 * 48);
}

TEST(ShuffledLoader, SmallShardsGolden) {
  REQUIRE_SHARED(GoldenLoader::kFile);
  const GoldenLoader golden;
  int compared = 0;
  for (const auto& [name, c] : golden.cases("1584.W")) {
    const int64_t seq_len = c["seq_len"], rows = c["rows_per_batch"], batches = c["batches"];
    ShuffledLoader loader(find_train_shards(golden.folder()), c["rank"], c["world_size"], seq_len, golden.kVocab);
    const std::vector<int32_t> expected = golden.values<int32_t>(name);
    ASSERT_EQ(static_cast<int64_t>(expected.size()), batches * rows * 2);
    std::vector<int32_t> x(rows * seq_len), y(rows * seq_len);
    for (int64_t batch = 0; batch < batches; ++batch) {
      loader.next_batch(rows, x.data(), y.data());
      for (int64_t row = 0; row < rows; ++row, ++compared) {
        const int32_t* want = &expected[2 * (batch * rows + row)];
        const TrainWindow got = loader.windows()[row];
        const int64_t s = got.shard * c["world_size"].get<int>() + c["rank"].get<int>();  // among all shards
        ASSERT_EQ(s, want[0]) << name << " batch " << batch << " row " << row;
        ASSERT_EQ(got.start, want[1]) << name << " batch " << batch << " row " << row;
        for (int64_t t = 0; t < seq_len; ++t) {
          ASSERT_EQ(x[row * seq_len + t], golden.token(s, got.start + t));
          ASSERT_EQ(y[row * seq_len + t], golden.token(s, got.start + t + 1));
        }
      }
    }
  }
  EXPECT_EQ(compared, 3 * 50 * 4 + 3 * 50 * 7);
}

TEST(ShuffledLoader, RestoreContinuesWithTheSameBatches) {
  ShardFolder folder;
  for (int i = 0; i < 5; ++i) folder.add("t_train_00000" + std::to_string(i) + ".bin", 300 + 50 * i, 1000 * i);
  const auto files = find_train_shards(folder.path());
  ShuffledLoader whole(files, 1, 2, 16, 50000);
  std::vector<int32_t> x(6 * 16), y(6 * 16), x2(6 * 16), y2(6 * 16);
  for (int batch = 0; batch < 23; ++batch) whole.next_batch(6, x.data(), y.data());  // past the first deal
  ShuffledLoader resumed(files, 1, 2, 16, 50000);
  resumed.restore(whole.state());
  EXPECT_EQ(resumed.windows_drawn(), 23 * 6);
  for (int batch = 0; batch < 20; ++batch) {
    whole.next_batch(6, x.data(), y.data());
    resumed.next_batch(3, x2.data(), y2.data());  // other batch cuts, same order
    resumed.next_batch(3, x2.data() + 48, y2.data() + 48);
    ASSERT_EQ(x, x2);
    ASSERT_EQ(y, y2);
  }
  EXPECT_EQ(whole.state(), resumed.state());
}

TEST(ShuffledLoader, RefusesForeignState) {
  ShardFolder folder;
  const auto a = folder.add("t_train_000000.bin", 300), b = folder.add("t_train_000001.bin", 301);
  const std::string state = ShuffledLoader({a, b}, 0, 1, 16, 50000).state();
  ShuffledLoader({b, a}, 0, 1, 16, 50000).restore(state);  // order given does not matter
  for (const std::string& bad : {std::string(), std::string("x"), state + "x", state.substr(0, state.size() - 1),
                                 state.substr(0, state.size() - 1) + "-1"}) {
    ShuffledLoader loader({a, b}, 0, 1, 16, 50000);
    EXPECT_NE(error_of([&] { loader.restore(bad); }).find("resume"), std::string::npos) << bad;
  }
  ShuffledLoader other({a}, 0, 1, 16, 50000);
  EXPECT_NE(error_of([&] { other.restore(state); }).find("shards 2 tokens 601"), std::string::npos);
}

TEST(ShuffledLoader, BadInput) {
  ShardFolder folder;
  const auto a = folder.add("t_train_000000.bin", 16), b = folder.add("t_train_000001.bin", 17);
  auto loads = [](std::vector<std::string> files, int world, int64_t vocab) {
    return error_of([&] {
      ShuffledLoader loader(files, 0, world, 16, vocab);
      std::vector<int32_t> x(16), y(16);
      loader.next_batch(1, x.data(), y.data());
    });
  };
  EXPECT_EQ(loads({a, b}, 1, 17), "no error");
  EXPECT_NE(loads({}, 1, 17).find("no training shards"), std::string::npos);
  EXPECT_NE(loads({a, b}, 3, 17).find("2 training shards for 3 ranks"), std::string::npos);
  EXPECT_NE(loads({a, b}, 2, 17).find("no shard of rank 0 has 17 tokens"), std::string::npos);
  EXPECT_EQ(loads({a, b}, 1, 16).find(b + ": offset 1056: token id 16 (token 16)"), 0u) << loads({a, b}, 1, 16);
  EXPECT_THROW(find_train_shards(folder.path() + "/nowhere"), Error);
}

}  // namespace
}  // namespace sixteen
