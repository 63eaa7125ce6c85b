// The tiny twin of every system, from token shards to scores, through the programs as a user runs them: packing costs little
// and test-time training helps, on sample text of our own and on real text.
//
// Bites: twins train by steps, not by the clock, so that a busy machine gives the same numbers; on one thread, since ctest runs
// as many of them as there are cores.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "formats/shard.h"
#include "tests/support/program.h"
#include "tests/support/shared_data.h"

namespace sixteen::testing {
namespace {

struct Text {
  std::string folder, val, tokenizer;  // shards to train on, pattern of the shards to score
};

nlohmann::json run_json(const std::string& program, std::vector<std::string> args) {
  args.push_back("--json");
  const Outcome outcome = run_program(program, args);
  EXPECT_EQ(outcome.code, 0) << program << " " << args[0] << ": " << outcome.err;
  const size_t end = outcome.out.find_last_not_of('\n');
  const size_t begin = outcome.out.rfind('\n', end);
  return nlohmann::json::parse(outcome.out.substr(begin == std::string::npos ? 0 : begin + 1));
}

Text sample_text(const Scratch& scratch) {
  const Text text{scratch.path("tokens"), scratch.path("tokens") + "/*_val_*.bin", scratch.path("t.model")};
  const std::string corpus = scratch.path("corpus.txt");
  run_json("sixteen-train", {"corpus", "--out", corpus, "--bytes", "2000000", "--seed", "7"});
  run_json("sixteen-train", {"tokenizer", "--text", corpus, "--vocab", "1024", "--out", text.tokenizer});
  run_json("sixteen-train", {"tokenize", "--tokenizer", text.tokenizer, "--text", corpus, "--out", text.folder, "--val-docs", "25",
                             "--shard-tokens", "100000"});
  return text;
}

// The held-out part of the training corpus to learn from, the head of FineWeb's validation set to score.
Text real_text(const Scratch& scratch) {
  const Text text{scratch.path("tokens"), scratch.path("tokens") + "/fineweb_val_0.bin",
                  shared_path("data/tokenizers/fineweb_1024_bpe.model")};
  std::filesystem::create_directory(text.folder);
  const std::vector<uint16_t> train = read_shards(shared_path("data/shards/sp1024/corpus_val_000000.bin"), 1024);
  const size_t part = train.size() / 4;
  for (size_t i = 0; i < 4; ++i) {
    write_shard(text.folder + "/corpus_train_" + std::to_string(i) + ".bin", std::span(train).subspan(i * part, part));
  }
  const std::vector<uint16_t> val = read_shards(shared_path("data/shards/sp1024/fineweb_val_000000.bin"), 1024);
  write_shard(text.val, std::span(val).first(12 * 1024 + 1));
  return text;
}

void train_pack_score(const std::string& config_name, const Scratch& scratch, const Text& text) {
  const std::string config = std::string(SIXTEEN_SOURCE_DIR) + "/configs/" + config_name;
  const std::string checkpoint = scratch.path("m.safetensors"), artifact = scratch.path("m.s16");
  run_json("sixteen-train", {"run", "--config", config, "--data", text.folder, "--val", text.val, "--tokenizer", text.tokenizer,
                             "--out", checkpoint, "--threads", "1"});
  run_json("sixteen-pack",
           {"pack", checkpoint, "-o", artifact, "--config", config, "--calib", text.folder + "/*_train_*.bin",
            "--threads", "1"});
  const auto bpb = [&](const std::string& model, std::vector<std::string> options) {
    options.insert(options.begin(),
                   {"score", model, "--config", config, "--data", text.val, "--tokenizer", text.tokenizer,
                    "--threads", "1"});
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

class Twin : public ::testing::TestWithParam<const char*> {};

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
