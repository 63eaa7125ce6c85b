// The tiny twin of every system, from token shards to scores, through the programs as a user runs them: packing costs little
// and test-time training helps, on sample text of our own and on real text.
//
// Bites: twins train by steps, not by the clock, so that a busy machine gives the same numbers; on one thread, since ctest runs
// as many of them as there are cores.
#include <gtest/gtest.h>

#include "formats/error.h"
#include "graph/executor.h"
#include "tests/systems/twin.h"

namespace sixteen::testing {
namespace {

void train_pack_score(const std::string& config_name, const Scratch& scratch, const Text& text) {
  const std::string config = std::string(SIXTEEN_SOURCE_DIR) + "/configs/" + config_name;
  const std::string checkpoint = scratch.path("m.safetensors"), artifact = scratch.path("m.s16");
  run_json("sixteen-train", {"run", "--config", config, "--data", text.folder, "--val", text.val, "--tokenizer", text.tokenizer,
                             "--out", checkpoint, "--threads", "1", "--device", SIXTEEN_TWIN_DEVICE});
  run_json("sixteen-pack",
           {"pack", checkpoint, "-o", artifact, "--config", config, "--calib", text.folder + "/*_train_*.bin",
            "--threads", "1", "--device", SIXTEEN_TWIN_DEVICE});
  const auto bpb = [&](const std::string& model, std::vector<std::string> options) {
    options.insert(options.begin(),
                   {"score", model, "--config", config, "--data", text.val, "--tokenizer", text.tokenizer,
                    "--threads", "1", "--device", SIXTEEN_TWIN_DEVICE});
    return run_json("sixteen-eval", options).at("bpb").get<double>();
  };
  const double plain = bpb(checkpoint, {}), packed = bpb(artifact, {});
  // The configs' own edge rules score other targets with training than without it; the golden data test those.
  const double sliding = bpb(artifact, {"--sliding", "--edge", "exact"}), trained = bpb(artifact, {"--ttt", "--edge", "exact"});
  std::printf("%s: checkpoint %.4f, artifact %.4f (%ju bytes), sliding %.4f, trained %.4f bpb\n", config_name.c_str(), plain, packed,
              std::uintmax_t{std::filesystem::file_size(artifact)}, sliding, trained);
  EXPECT_LT(plain, 3.6);  // far below the 4.2 of an untrained model: the twin has learned something
  EXPECT_LT(packed - plain, 0.03);
  EXPECT_GT(packed - plain, -0.03);
  EXPECT_LT(trained, sliding);
}

class Twin : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    try {
      make_device(SIXTEEN_TWIN_DEVICE, 1);
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }
};

TEST_P(Twin, OnSampleText) {
  const Scratch scratch;
  train_pack_score(std::string(GetParam()) + "-tiny.toml", scratch, sample_text(scratch));
}

TEST_P(Twin, OnRealText) {
  REQUIRE_SHARED("data/shards/sp1024");
  const Scratch scratch;
  train_pack_score(std::string(GetParam()) + "-tiny.toml", scratch, real_text(scratch));
}

INSTANTIATE_TEST_SUITE_P(Systems, Twin, ::testing::Values("pr726", "pr754", "pr754-first", "pr1555", "pr1584"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace sixteen::testing
