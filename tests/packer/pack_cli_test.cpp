// `pack` with rules as users run it: no calibration where none is needed, and one line for what does not fit.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "formats/artifact.h"
#include "formats/file.h"
#include "formats/shard.h"
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

// --quantizer is of the rules that take Hessians, in a config or by default; what it makes is marked, inspected, exported and read.
TEST_F(PackCli, TheQuantizerIsChosen) {
  const std::string rules = "[[pack.rules]]\nclass = 'small'\nmode = 'fp16'\n[[pack.rules]]\nmatch = ['tok_emb']\nmode = 'int8'\n"
                            "quantiser = 'nearest'\n[[pack.rules]]\nmode = 'int6'\n";
  const Outcome packed = pack(rules, {"--quantizer", "tcq", "--nearest"});
  ASSERT_EQ(packed.code, 0) << packed.err;
  const Artifact artifact = read_artifact(out_);
  for (const PackedTensor& t : artifact.tensors) EXPECT_EQ(t.trellis, t.bits == 6) << t.name;
  const Outcome shown = run_pack({"inspect", out_});
  EXPECT_NE(shown.out.find("rule 3: all: int6, tcq, clip_sigmas 12.85"), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("int6:T"), std::string::npos) << shown.out;
  const Outcome exported = run_pack({"export", out_, "-o", scratch_.path("e.safetensors")});
  EXPECT_EQ(exported.code, 0) << exported.err;
  const Model before = load_checkpoint(checkpoint_), after = load_checkpoint(scratch_.path("e.safetensors"));
  double error = 0, all = 0;
  for (const PackedTensor& t : artifact.tensors) {
    if (!t.trellis) continue;
    const std::span<const float> a = before.store.tensor(t.name), b = after.store.tensor(t.name);
    for (size_t i = 0; i < a.size(); ++i) error += std::pow(a[i] - b[i], 2), all += std::pow(a[i], 2);
  }
  EXPECT_GT(error, 0);
  EXPECT_LT(error, 0.02 * all);  // steps of 0.41 deviations: 1/12 of their square is 0.014
  EXPECT_EQ(pack(rules, {"--quantizer", "awq", "--nearest"}).code, 2);
  const Outcome back = pack(rules + "quantiser = 'tcq'\n", {"--quantizer", "gptq", "--nearest"});
  EXPECT_EQ(back.code, 0) << back.err;
  for (const PackedTensor& t : read_artifact(out_).tensors) EXPECT_FALSE(t.trellis) << t.name;
}

TEST_F(PackCli, Refusals) {
  const std::string small = "[[pack.rules]]\nclass = 'small'\nmode = 'fp16'\n";
  expect_refused(pack(small + "[[pack.rules]]\nmode = 'int6'"), 2, "--hessians or --calib is required");
  expect_refused(pack(small + "[[pack.rules]]\nmode = 'int6'", {"--calib", "x", "--hessians", "y"}), 2,
                 "give one of them");
  expect_refused(pack(kClipRules, {"--bits", "5"}), 1, "[[pack.rules]], which say how many bits");
  expect_refused(pack(kClipRules, {"--embedding-bits", "5"}), 1, "[[pack.rules]], which say how many bits");
  expect_refused(pack("[[pack.rules]]\nmode = 'int6'\nquantiser = 'clip_row'"), 1,
                 "r.toml: pack.rules#1.mode: int6 is for matrices, found tensor parallel_post_lambdas [4, 2, 2]");
  expect_refused(pack("[[pack.rules]]\nmatch = ['lm_head']\nmode = 'int6'"), 1,
                 "r.toml: pack.rules#1.match: \"lm_head\": no tensor of this model");
  expect_refused(pack(small), 1, "r.toml: pack.rules: none fits tensor blocks.0.attn.c_q.weight [32, 32]");
  expect_refused(pack("[[pack.rules]]\nmode = 'int12'"), 1, "r.toml: pack.rules#1.mode: expected fp16");
}

// A search as users run it: sensitivities and losses from shards, kept in the Hessians' file for the next one.
TEST_F(PackCli, SearchesTheClipsForASize) {
  const std::string shard = scratch_.path("t_train_000000.bin"), kept = scratch_.path("h.safetensors");
  write_shard(shard, testing::tiny_tokens(3000));
  const char rules[] = R"(
[pack]
calib_windows = 8
calib_batch = 4
calib_seq_len = 32
sensitivity_windows = 4
check_windows = 5
[[pack.rules]]
class = "small"
mode = "fp16"
[[pack.rules]]
mode = "int6"
)";
  write_file(scratch_.path("code.py"), std::string(700, 'x'));
  const Outcome first = pack(rules, {"--calib", shard, "--hessians-out", kept, "--target-bytes", "21000", "--code",
                                     scratch_.path("code.py"), "--json", "--report", scratch_.path("r.html")});
  ASSERT_EQ(first.code, 0) << first.err;
  const auto last_line = [](const std::string& out) {
    return nlohmann::json::parse(out.substr(out.rfind('\n', out.size() - 2) + 1));
  };
  const nlohmann::json json = last_line(first.out);
  EXPECT_EQ(json.at("artifact_bytes"), std::filesystem::file_size(out_));
  EXPECT_LE(json.at("total_bytes"), 21000);
  EXPECT_GT(json.at("total_bytes"), 19000);
  EXPECT_EQ(json.at("total_bytes").get<int>() - json.at("artifact_bytes").get<int>(), 700);
  EXPECT_TRUE(json.at("budget").at("in_nats"));
  const std::string page = read_text_file(scratch_.path("r.html"));
  for (const char* part : {"<svg", "mlp.fc x2", "tok_emb", "as estimated", "of 21000", "</html>"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
  EXPECT_NE(json.at("loss_before"), json.at("loss_after"));
  EXPECT_NEAR(json.at("loss_after"), json.at("loss_before"), 0.2);  // nats, of a random model at some 4 bits a weight
  const Outcome again = pack(rules, {"--hessians", kept, "--target-bytes", "20300", "--json"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(last_line(again.out).at("sha256"),
            json.at("sha256"));  // the same limit on the artifact, the same measurements
  EXPECT_FALSE(last_line(again.out).contains("loss_after"));
  std::filesystem::remove(out_);
  expect_refused(pack(rules, {"--hessians", kept, "--calib", shard}), 2, "--calib and --hessians: give one of them");
  expect_refused(pack(rules, {"--hessians", kept, "--report", "r.html"}), 2, "--report: shows a search");
  expect_refused(pack(rules, {"--hessians", kept, "--search-bits"}), 2, "--search-bits: needs a search");
  expect_refused(pack(rules, {"--hessians", kept, "--hessians-out", kept}), 2, "--hessians-out: needs --calib");
  expect_refused(pack(rules, {"--hessians", kept, "--target-bytes", "5000", "--quiet"}), 1, "cannot fit");
}

}  // namespace
}  // namespace sixteen
