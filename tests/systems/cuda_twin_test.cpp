// A tiny twin trained and scored on a CUDA card through the programs: the same run twice gives the same bytes, and the CPU
// scores the card's checkpoint to within 2e-3 nats.
//
// Bites: bf16 there and fp32 here; the distance is that of rounding, its mean over thousands of targets small.
#include <gtest/gtest.h>

#include "formats/error.h"
#include "formats/file.h"
#include "graph/executor.h"
#include "tests/systems/twin.h"

namespace sixteen::testing {
namespace {

constexpr double kMeanNats = 2e-3;  // issue 4

class CudaTwin : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    try {
      make_device("cuda");
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }
};

TEST_P(CudaTwin, RepeatsItsBytesAndAgreesWithTheCpu) {
  const Scratch scratch;
  const Text text = sample_text(scratch);
  const std::string config = std::string(SIXTEEN_SOURCE_DIR) + "/configs/" + GetParam() + "-tiny.toml";
  for (const char* name : {"a.safetensors", "b.safetensors"}) {
    run_json("sixteen-train", {"run", "--config", config, "--data", text.folder, "--val", text.val, "--tokenizer", text.tokenizer,
                               "--out", scratch.path(name), "--device", "cuda"});
  }
  const std::string checkpoint = scratch.path("a.safetensors");
  EXPECT_TRUE(read_text_file(checkpoint) == read_text_file(scratch.path("b.safetensors"))) << "two runs, two checkpoints";
  const auto score = [&](const char* device, const char* out, std::vector<std::string> options) {
    options.insert(options.begin(), {"score", checkpoint, "--config", config, "--data", text.val, "--tokenizer", text.tokenizer,
                                     "--edge", "exact", "--device", device, "--nll-out", scratch.path(out)});
    return run_json("sixteen-eval", options).at("loss").get<double>();
  };
  for (const std::vector<std::string>& options : {std::vector<std::string>{"--sliding"}, {"--ttt", "--hash-embed"}}) {
    const double first = score("cuda", "first", options), again = score("cuda", "again", options), cpu = score("cpu", "cpu", options);
    EXPECT_EQ(first, again) << options[0];
    EXPECT_TRUE(read_text_file(scratch.path("first")) == read_text_file(scratch.path("again"))) << options[0];
    EXPECT_NEAR(first, cpu, kMeanNats) << options[0];
    std::printf("%s %s: cuda %.5f, cpu %.5f nats\n", GetParam(), options[0].c_str(), first, cpu);
  }
}

INSTANTIATE_TEST_SUITE_P(Systems, CudaTwin, ::testing::Values("pr726", "pr754", "pr1555", "pr1584"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace sixteen::testing
