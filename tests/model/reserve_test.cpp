// Too little memory is said before the first step, with the bytes; enough of it is taken at once.
#include <gtest/gtest.h>

#include "formats/error.h"
#include "graph/plan.h"
#include "tests/support/limited_device.h"
#include "tests/support/tiny_model.h"

namespace sixteen {
namespace {

constexpr int64_t kWindows = 3, kSeq = 64, kScratch = 5000;

struct Fixture {
  explicit Fixture(int64_t free_bytes)
      : device(std::make_shared<testing::LimitedDevice>(free_bytes, kScratch)),
        config(testing::tiny_config()),
        table(std::make_shared<ParamTable>(config)),
        session(device, config, table) {}

  std::vector<BuildOptions> programs() const {
    return {session.train_options(kWindows, kSeq, false), session.train_options(kWindows, kSeq, true)};
  }
  // What both graphs need beside weights and gradients.
  int64_t needed() const {
    int64_t arena = 0, beside = 0;
    for (const BuildOptions& options : programs()) {
      const Graph graph = build_model(config, *table, options).graph;
      arena = std::max(arena, plan_memory(graph).arena_bytes);
      beside += kScratch;
      for (const Value& value : graph.values()) {
        if (value.kind == ValueKind::kInput) beside += value.shape.numel() * 4;
      }
    }
    return arena + beside;
  }

  std::shared_ptr<testing::LimitedDevice> device;
  ModelConfig config;
  std::shared_ptr<const ParamTable> table;
  Session session;
};

TEST(Reserve, SaysWhatIsNeededAndFreeBeforeAnythingIsAllocated) {
  const int64_t needed = Fixture(1).needed();
  Fixture f(needed - 1);
  const int64_t before = f.device->allocated;
  try {
    f.session.reserve(f.programs(), "use fewer windows");
    FAIL() << "one byte too little was enough";
  } catch (const Error& error) {
    const std::string line = error.what();
    EXPECT_TRUE(line.starts_with("card: too little memory: at least " + std::to_string(needed) + " bytes more are needed")) << line;
    EXPECT_TRUE(line.ends_with(", " + std::to_string(needed - 1) + " of " + std::to_string(2 * (needed - 1)) + " are free; use fewer windows")) << line;
  }
  EXPECT_EQ(f.device->allocated, before);
}

TEST(Reserve, TakesTheLargestArenaSoThatNoStepAllocatesOne) {
  Fixture f(Fixture(1).needed());
  f.session.set_weights(testing::tiny_store(f.config));
  f.session.reserve(f.programs(), "use fewer windows");
  const int64_t arena = f.session.arena_bytes();
  EXPECT_GT(arena, 0);
  const std::vector<uint16_t> tokens = testing::tiny_tokens(kWindows * kSeq + 1);
  const std::vector<int32_t> ids(tokens.begin(), tokens.end() - 1), targets(tokens.begin() + 1, tokens.end());
  const std::vector<float> weight(ids.size(), 1.0f / static_cast<float>(ids.size()));
  for (const bool looping : {false, true}) {
    EXPECT_GT(f.session.train(ids, targets, weight, kWindows, kSeq, looping), 0);
    EXPECT_EQ(f.session.arena_bytes(), arena);
  }
}

TEST(Reserve, CountsOnlyWhatIsMissing) {
  Fixture f(Fixture(1).needed());
  f.session.reserve(f.programs(), "");
  f.session.reserve(f.programs(), "");  // the arena is there already
}

}  // namespace
}  // namespace sixteen
