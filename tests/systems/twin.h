// What tests of the tiny twins share: texts to train on and to score, programs whose last line is JSON.
//
// Bites: SIXTEEN_TWIN_DEVICE says on which device the programs compute; test_cuda_systems compiles the tests with "cuda".
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/shard.h"
#include "tests/support/program.h"
#include "tests/support/shared_data.h"

#ifndef SIXTEEN_TWIN_DEVICE
#define SIXTEEN_TWIN_DEVICE "cpu"
#endif

namespace sixteen::testing {

struct Text {
  std::string folder, val, tokenizer;  // shards to train on, pattern of the shards to score
};

inline nlohmann::json run_json(const std::string& program, std::vector<std::string> args) {
  args.push_back("--json");
  const Outcome outcome = run_program(program, args);
  EXPECT_EQ(outcome.code, 0) << program << " " << args[0] << ": " << outcome.err;
  const size_t end = outcome.out.find_last_not_of('\n');
  const size_t begin = outcome.out.rfind('\n', end);
  return nlohmann::json::parse(outcome.out.substr(begin == std::string::npos ? 0 : begin + 1));
}

inline Text sample_text(const Scratch& scratch) {
  const Text text{scratch.path("tokens"), scratch.path("tokens") + "/*_val_*.bin", scratch.path("t.model")};
  const std::string corpus = scratch.path("corpus.txt");
  run_json("sixteen-train", {"corpus", "--out", corpus, "--bytes", "2000000", "--seed", "7"});
  run_json("sixteen-train", {"tokenizer", "--text", corpus, "--vocab", "1024", "--out", text.tokenizer});
  run_json("sixteen-train", {"tokenize", "--tokenizer", text.tokenizer, "--text", corpus, "--out", text.folder, "--val-docs", "25",
                             "--shard-tokens", "100000"});
  return text;
}

// The held-out part of the training corpus to learn from, the head of FineWeb's validation set to score.
inline Text real_text(const Scratch& scratch) {
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

}  // namespace sixteen::testing
