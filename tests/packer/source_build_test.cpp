// The counted sources, unpacked in a folder of their own, build with the documented packages and give the score that sixteen-eval gives, digit
// for digit and target for target.
//
// Bites: compiles some sixty files, without optimisation (bits do not depend on it), which takes a minute or two where no compiler cache helps.
// CPU only: that the CUDA sources compile is for who has nvcc (SIXTEEN_CUDA=ON in the unpacked folder).
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "formats/shard.h"
#include "model/checkpoint.h"
#include "tests/support/program.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"
#include "trainer/corpus.h"
#include "trainer/tokenize.h"
#include "trainer/tokenizer_train.h"

namespace sixteen {
namespace {

constexpr int64_t kVocab = 360;
constexpr Console kQuiet{.json = false, .quiet = true};

// Of a failure the end of what it said.
int shell(const std::string& command, const testing::Scratch& scratch) {
  const int code = std::system((command + " >" + scratch.path("said") + " 2>&1").c_str());
  const std::string said = read_text_file(scratch.path("said"));
  if (code != 0) std::cerr << said.substr(said.size() - std::min<size_t>(said.size(), 3000));
  return code;
}

TEST(SourceBuild, BuildsAndScoresToTheSameDigits) {
  const testing::Scratch scratch;
  write_corpus(scratch.path("text.txt"), 20000, 1, kQuiet);
  train_tokenizer({.text = {scratch.path("text.txt")}, .vocab = kVocab, .out = scratch.path("t.model")}, kQuiet);
  tokenize({.tokenizer = scratch.path("t.model"), .text = {scratch.path("text.txt")}, .out = scratch.folder(), .val_documents = 3}, kQuiet);
  const ModelConfig config = testing::tiny_config(kVocab);
  save_checkpoint(scratch.path("m.safetensors"), config, testing::tiny_store(config));
  const std::string m = scratch.path("m.s16");
  ASSERT_EQ(testing::run_program("sixteen-pack", {"pack", scratch.path("m.safetensors"), "-o", m, "--nearest", "-q"}).code, 0);
  write_file(scratch.path("eval.toml"), "[eval]\nwindow = 32\nstride = 8\n[eval.ttt]\nchunk = 128\nlr = 0.01\nepochs = 1\n");

  const std::string archive = SIXTEEN_BINARY_DIR "/share/sixteen/evaluator.sh", src = scratch.path("src");
  ASSERT_EQ(shell("sh " + archive + " " + src, scratch), 0);
  ASSERT_EQ(shell("cmake -S " + src + " -B " + src + "/build -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS='-O0 -w'", scratch), 0);
  ASSERT_EQ(shell("cmake --build " + src + "/build -j 2 --target sixteen-eval", scratch), 0);

  const auto score = [&](const std::string& program, const std::string& nll) {
    const std::string command = program + " score " + m + " --data '" + scratch.path("tokens_val_*.bin") + "' --tokenizer " + scratch.path("t.model") + " --config " +
                                scratch.path("eval.toml") + " --ttt --hash-embed --nll-out " + scratch.path(nll) + " --json -q >" + scratch.path(nll + ".json");
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    return nlohmann::json::parse(read_text_file(scratch.path(nll + ".json")));
  };
  nlohmann::json ours = score(SIXTEEN_BINARY_DIR "/bin/sixteen-eval", "ours"), theirs = score(src + "/build/bin/sixteen-eval", "theirs");
  ours.erase("seconds");
  theirs.erase("seconds");
  EXPECT_EQ(theirs, ours);
  EXPECT_GT(ours.at("ttt_steps"), 0);
  EXPECT_EQ(read_text_file(scratch.path("theirs")), read_text_file(scratch.path("ours")));
}

}  // namespace
}  // namespace sixteen
