// `pack` with rules as users run it: no calibration where none is needed, and one line for what does not fit.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "formats/artifact.h"
#include "model/checkpoint.h"
#include "tests/support/pack_commands.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

namespace sixteen {
namespace {

using testing::Outcome;
using testing::run_pack;
using testing::Scratch;

const char kClipRules[] = R"(
[pack.codecs]
codes8.codec = "zstd"
codes3.codec = "xz"
[[pack.rules]]
class = "small"
mode = "fp16"
[[pack.rules]]
mode = "int8"
quantiser = "clip_row"
)";

class PackCli : public ::testing::Test {
 protected:
  PackCli() { save_checkpoint(checkpoint_, testing::tiny_config(), testing::tiny_store(testing::tiny_config())); }
  Outcome pack(const std::string& rules, std::vector<std::string> more = {}) {
    write_file(scratch_.path("r.toml"), rules);
    std::vector<std::string> args = {"pack", checkpoint_, "-o", out_, "--config", scratch_.path("r.toml")};
    args.insert(args.end(), more.begin(), more.end());
    return run_pack(args);
  }
  void expect_refused(const Outcome& outcome, int code, const std::string& part) {
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(out_));
  }

  const Scratch scratch_;
  const std::string checkpoint_ = scratch_.path("m.safetensors"), out_ = scratch_.path("m.s16");
};

TEST_F(PackCli, WithoutGptqNoCalibrationIsAskedFor) {
  const Outcome packed = pack(kClipRules);
  EXPECT_EQ(packed.code, 0) << packed.err;
  EXPECT_NE(packed.out.find("note: [pack.codecs.codes3] is for a stream that this artifact does not have"),
            std::string::npos)
      << packed.out;
  EXPECT_EQ(packed.out.find("codes8]"), std::string::npos) << packed.out;
  for (const StreamInfo& stream : read_artifact(out_).streams) {
    EXPECT_TRUE(stream.name != "codes8" || stream.options.codec == Codec::kZstd);
  }
  const Outcome shown = run_pack({"inspect", out_});
  EXPECT_NE(shown.out.find("2:clip_row"), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("rule 2: all: int8, clip_row"), std::string::npos) << shown.out;
  EXPECT_EQ(pack(kClipRules, {"--codec", "stored"}).code, 0);  // of all streams
  for (const StreamInfo& stream : read_artifact(out_).streams) EXPECT_EQ(stream.options.codec, Codec::kStored);
}

TEST_F(PackCli, Refusals) {
  const std::string small = "[[pack.rules]]\nclass = 'small'\nmode = 'fp16'\n";
  expect_refused(pack(small + "[[pack.rules]]\nmode = 'int6'"), 2, "--hessians or --calib is required");
  expect_refused(pack(small + "[[pack.rules]]\nmode = 'int6'", {"--calib", "x", "--hessians", "y"}), 2, "give one of them");
  expect_refused(pack(kClipRules, {"--bits", "5"}), 1, "[[pack.rules]], which say how many bits");
  expect_refused(pack(kClipRules, {"--embedding-bits", "5"}), 1, "[[pack.rules]], which say how many bits");
  expect_refused(pack("[[pack.rules]]\nmode = 'int6'\nquantiser = 'clip_row'"), 1,
                 "r.toml: pack.rules#1.mode: int6 is for matrices, found tensor parallel_post_lambdas [4, 2, 2]");
  expect_refused(pack("[[pack.rules]]\nmatch = ['lm_head']\nmode = 'int6'"), 1,
                 "r.toml: pack.rules#1.match: \"lm_head\": no tensor of this model");
  expect_refused(pack(small), 1, "r.toml: pack.rules: none fits tensor blocks.0.attn.c_q.weight [32, 32]");
  expect_refused(pack("[[pack.rules]]\nmode = 'int12'"), 1, "r.toml: pack.rules#1.mode: expected fp16");
}

}  // namespace
}  // namespace sixteen
