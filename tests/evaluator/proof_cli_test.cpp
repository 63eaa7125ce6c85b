// sixteen-eval compress and decompress as a person calls them: shards come back as files, and every refusal is one line.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "formats/shard.h"
#include "model/checkpoint.h"
#include "tests/support/program.h"
#include "tests/support/tiny_model.h"

namespace sixteen::testing {
namespace {

using Json = nlohmann::json;

class ProofCli : public ::testing::Test {
 protected:
  void SetUp() override {
    const ModelConfig config = tiny_config();
    save_checkpoint(path("m.safetensors"), config, tiny_store(config));
    save_checkpoint(path("other.safetensors"), config, tiny_store(config, 5));
    const std::vector<uint16_t> tokens = tiny_tokens(1001);
    write_shard(path("t_val_000000.bin"), std::span(tokens).first(600));
    write_shard(path("t_val_000001.bin"), std::span(tokens).subspan(600));
    write_file(path("eval.toml"), "[eval]\nstride = 8\ndrop_tail = true\n[eval.ttt]\nchunk = 256\nlr = 0.01\nepochs = 1\n");
  }
  std::string path(const std::string& name) const { return scratch_.path(name); }

  Outcome compress(std::vector<std::string> flags) const {
    std::vector<std::string> args = {"compress", "--artifact", path("m.safetensors"), "--data", path("t_val_*.bin"), "--config", path("eval.toml")};
    args.insert(args.end(), flags.begin(), flags.end());
    return run_program("sixteen-eval", args);
  }
  Outcome decompress(std::vector<std::string> flags, const std::string& model = "m.safetensors") const {
    std::vector<std::string> args = {"decompress", path("x.s16z"), "--artifact", path(model)};
    args.insert(args.end(), flags.begin(), flags.end());
    return run_program("sixteen-eval", args);
  }
  static void expect_refused(const Outcome& ran, int code, const std::string& part) {
    EXPECT_EQ(ran.code, code) << part;
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
  }

  Scratch scratch_;
};

TEST_F(ProofCli, ShardsComeBackAsFiles) {
  const Outcome packed = compress({"-o", path("x.s16z"), "--ttt", "--hash-embed", "--json", "--quiet"});
  ASSERT_EQ(packed.code, 0) << packed.err;
  const Json json = Json::parse(packed.out);
  EXPECT_EQ(json.at("targets"), 1000);
  EXPECT_EQ(json.at("file_bytes"), std::filesystem::file_size(path("x.s16z")));
  EXPECT_EQ(json.at("note"), "drop_tail put aside: every target is coded once");
  EXPECT_LT(json.at("excess_bytes"), 64 + 12);  // two shards' names
  const Outcome unpacked = decompress({"--json", "--quiet", "--threads", "1"});
  ASSERT_EQ(unpacked.code, 0) << unpacked.err;
  EXPECT_EQ(Json::parse(unpacked.out).at("folder"), path("x"));
  for (const char* name : {"t_val_000000.bin", "t_val_000001.bin"}) {
    EXPECT_EQ(read_text_file(path("x") + "/" + name), read_text_file(path(name))) << name;
  }
}

TEST_F(ProofCli, SamplesNeedTheRestOfTheText) {
  ASSERT_EQ(compress({"-o", path("x.s16z"), "--ttt", "--sample", "1"}).code, 0);
  expect_refused(decompress({}), 1, "codes 1 chunks of the text; give the rest as --data");
  expect_refused(decompress({"--data", path("t_val_000000.bin")}), 1, "600 tokens, but");
  const Outcome ran = decompress({"--data", path("t_val_*.bin"), "-o", path("out")});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("--data is the same text"), std::string::npos) << ran.out;
}

TEST_F(ProofCli, RefusalsAreOneLine) {
  ASSERT_EQ(compress({"-o", path("x.s16z"), "--quiet"}).code, 0);
  expect_refused(decompress({}, "other.safetensors"), 1, "is not that of the model");
  expect_refused(decompress({"-o", path("m.safetensors")}), 1, "cannot make the folder");
  std::string file = read_text_file(path("x.s16z"));
  write_file(path("x.s16z"), file.substr(0, file.size() - 1));
  expect_refused(decompress({}), 1, "the check does not fit");
  file[file.size() / 2] ^= 1;
  write_file(path("x.s16z"), file);
  expect_refused(decompress({}), 1, "the check does not fit");
  expect_refused(compress({}), 2, "--out");
  expect_refused(compress({"-o", path("y"), "--arith", "fast"}), 2, "--arith");
  expect_refused(compress({"-o", path("y"), "--sliding", "--tap-in", "readme"}), 1, "give --tap-in none");
  expect_refused(compress({"-o", "/dev/full"}), 1, "/dev/full");
  EXPECT_FALSE(std::filesystem::exists(path("y")));
}

}  // namespace
}  // namespace sixteen::testing
