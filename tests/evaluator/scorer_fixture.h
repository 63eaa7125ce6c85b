// Text, a tokenizer, artifacts and the test scorers' command lines, for the tests of verify --scorer.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "evaluator/verify.h"
#include "formats/shard.h"
#include "tests/support/scratch.h"
#include "trainer/corpus.h"
#include "trainer/tokenize.h"
#include "trainer/tokenizer_train.h"

namespace sixteen::testing {

class ScorerFixture : public ::testing::Test {
 protected:
  static constexpr int64_t kVocab = 360;

  // official.bin and twin.bin: 60 documents each; train.bin: the artifact of the counting models.
  static void SetUpTestSuite() {
    const Console quiet{.json = false, .quiet = true};
    folder_ = std::make_unique<Scratch>();
    write_corpus(path("text.txt"), 400000, 1, quiet);
    train_tokenizer({.text = {path("text.txt")}, .vocab = kVocab, .max_bytes = 60000, .out = path("t.model")}, quiet);
    tokenize({.tokenizer = path("t.model"), .text = {path("text.txt")}, .out = folder_->folder(), .val_documents = 120}, quiet);
    const std::vector<uint16_t> both = read_shards(path("tokens_val_*.bin"), kVocab);
    size_t half = 0;
    for (int documents = 0; documents < 61; ++half) documents += both[half] == 1 ? 1 : 0;
    official_.assign(both.begin(), both.begin() + static_cast<int64_t>(half) - 1);
    write_shard(path("official.bin"), official_);
    write_shard(path("twin.bin"), std::span(both).subspan(half - 1));
    train_ = read_shards(path("tokens_train_*.bin"), kVocab);
    write_shard(path("train.bin"), train_);
  }
  static void TearDownTestSuite() { folder_.reset(); }
  static std::string path(const std::string& name) { return folder_->path(name); }
  static std::string bin(const std::string& name) { return std::string(SIXTEEN_BINARY_DIR) + "/bin/" + name; }

  // A short text and few places: a verification takes some tenths of a second.
  static VerifyOptions options(const std::string& kind, int64_t seed = 3) {
    VerifyOptions o;
    o.artifact = path("train.bin");
    o.data = path("official.bin");
    o.tokenizer = path("t.model");
    o.perturb = 8;
    o.normalised = 4;
    o.seed = seed;
    o.scorer.command = bin("test_scorer") + " " + kind + " " + o.tokenizer;
    o.scorer.tokens = 1500;
    o.scorer.short_text = 192;
    o.scorer.feed = 100;
    o.scorer.timeout_s = 60;
    o.console.quiet = true;
    return o;
  }

  static const Evidence* fault_of(const Verdict& verdict, Condition condition) {
    for (const Evidence& e : verdict.evidence()) {
      if (e.condition == condition && e.result == Evidence::Result::kFault) return &e;
    }
    return nullptr;
  }

  static std::unique_ptr<Scratch> folder_;
  static std::vector<uint16_t> official_, train_;
};
inline std::unique_ptr<Scratch> ScorerFixture::folder_;
inline std::vector<uint16_t> ScorerFixture::official_, ScorerFixture::train_;

}  // namespace sixteen::testing
