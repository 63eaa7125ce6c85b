// Proof by decoding: texts come back bit for bit, at the size that the score says, whatever runs where; and lies are found out.
#include "evaluator/proof.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numbers>

#include "evaluator/scoring.h"
#include "formats/error.h"
#include "formats/shard.h"
#include "graph/cpu/gemm.h"
#include "tests/support/bytes.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

namespace sixteen::testing {
namespace {

const Console kQuiet{.json = false, .quiet = true};

ModelConfig pairs_config() {
  ModelConfig config = tiny_config();
  config.smear = true;
  config.value_residual = true;
  config.bigram = {64, 24};
  return config;
}

ProofMethod method_of(Scoring scoring, bool hash, const ModelConfig& model) {
  ProofMethod m{.score = {.scoring = scoring, .hash = hash, .config = {}}};
  EvalConfig& c = m.score.config;
  c.stride = 8;
  c.ttt.lr = 0.05;
  c.ttt.epochs = 2;
  c.ttt.chunk = 300;
  c.ttt.batch_seqs = 4;
  c.hash.buckets = 128;
  c.hash_lr_mult = 3;
  validate(&c, model, scoring, "test");
  return m;
}

std::unique_ptr<Session> make_session(const ModelConfig& config, int threads = 2, uint64_t seed = 3) {
  const ParamStore store = tiny_store(config, seed);
  auto session = std::make_unique<Session>(make_device("cpu", threads), config, store.table);
  session->set_weights(store);
  return session;
}

Model make_model(const Scratch& scratch) {
  save_checkpoint(scratch.path("m.safetensors"), tiny_config(), tiny_store(tiny_config()));
  return load_model(scratch.path("m.safetensors"));
}

struct Compressed {
  ProofFile proof;
  ProofOutcome outcome;
};

Compressed compress(const ProofMethod& method, const ModelConfig& config, std::span<const uint16_t> tokens, int64_t sample = 0) {
  Compressed result;
  result.proof.shards = {{"val_000000", static_cast<int64_t>(tokens.size())}};
  const auto session = make_session(config);
  result.outcome = compress_text(method, session.get(), tokens, nullptr, sample, 7, {}, kQuiet, &result.proof);
  return result;
}

std::vector<uint16_t> decompress(const ProofFile& proof, Session* session, std::span<const uint16_t> given = {}, bool whole = false,
                                 const ProofStates& states = {}) {
  ProofOutcome outcome;
  const ProofMethod method = proof_method(proof.settings, session->config(), "x.s16z");
  return decompress_text(proof, method, session, given, whole, states, kQuiet, "x.s16z", &outcome);
}

TEST(Proof, RebuildsTheTextAtTheSizeOfItsScore) {
  for (const ModelConfig& config : {tiny_config(), pairs_config()}) {
    const std::vector<uint16_t> tokens = tiny_tokens(1501);
    for (const auto& [scoring, hash] : {std::pair{Scoring::kPlain, false}, {Scoring::kSliding, false}, {Scoring::kTraining, false},
                                        {Scoring::kTraining, true}}) {
      const ProofMethod method = method_of(scoring, hash, config);
      const Compressed c = compress(method, config, tokens);
      EXPECT_EQ(decompress(c.proof, make_session(config).get()), tokens);

      const auto scorer = make_session(config);
      const ByteTables tables{std::vector<int16_t>(96, 2), std::vector<uint8_t>(96), std::vector<uint8_t>(96)};
      const ScoreOutcome score = run_scoring(method.score, scorer.get(), tokens, tables, 1, false, kQuiet);
      EXPECT_EQ(c.outcome.targets, score.sum.targets);
      EXPECT_NEAR(c.outcome.nats / score.sum.nll, 1, 1e-6);  // losses in fp32 and fp64
      const double bytes = score.sum.nll / std::numbers::ln2 / 8;
      const double size = static_cast<double>(serialise_proof(c.proof).size());
      EXPECT_LT(std::abs(size - bytes), 1e-4 * bytes + 64) << static_cast<int>(scoring);
      EXPECT_LT(std::abs(static_cast<double>(c.proof.code.size()) - bytes), 2);
    }
  }
}

// Training matters here: with other weights after the first chunk the rest would not decode.
TEST(Proof, TrainingShortensTheCode) {
  const std::vector<uint16_t> tokens = tiny_tokens(3001);
  const Compressed still = compress(method_of(Scoring::kSliding, false, tiny_config()), tiny_config(), tokens);
  const Compressed trained = compress(method_of(Scoring::kTraining, true, tiny_config()), tiny_config(), tokens);
  EXPECT_LT(static_cast<double>(trained.proof.code.size()), 0.95 * static_cast<double>(still.proof.code.size()));
}

TEST(Proof, HoldsOnOtherInstructionSetsAndThreadCounts) {
  const ModelConfig config = tiny_config();
  const std::vector<uint16_t> tokens = tiny_tokens(501);
  const ProofMethod method = method_of(Scoring::kTraining, true, config);
  const Compressed c = compress(method, config, tokens);
  const std::string best = cpu::isa_name();
  for (const char* isa : {"plain", "avx2", "avx512"}) {
    if (!cpu::set_isa(isa)) continue;
    EXPECT_EQ(decompress(c.proof, make_session(config, 1).get()), tokens) << isa;
    EXPECT_EQ(compress(method, config, tokens).proof.code, c.proof.code) << isa;
  }
  cpu::set_isa(best.c_str());
}

// As a device decodes that keeps no keys: the other path to the same bits.
TEST(Proof, HoldsWhereWindowsAreComputedWhole) {
  const ModelConfig config = pairs_config();
  const std::vector<uint16_t> tokens = tiny_tokens(701);
  ProofMethod method = method_of(Scoring::kTraining, true, config);
  method.score.config.logits_bf16 = true;
  method.arith = Arith::kNative;
  const Compressed c = compress(method, config, tokens);
  EXPECT_EQ(decompress(c.proof, make_session(config).get(), {}, true), tokens);
  EXPECT_EQ(decompress(c.proof, make_session(config).get()), tokens);
}

TEST(Proof, SamplesAreDecodedUnseen) {
  const ModelConfig config = tiny_config();
  const std::vector<uint16_t> tokens = tiny_tokens(3001);
  const ProofMethod method = method_of(Scoring::kTraining, true, config);
  const Compressed all = compress(method, config, tokens), some = compress(method, config, tokens, 3);
  ASSERT_EQ(some.proof.sampled.size(), 3u);
  EXPECT_EQ(some.outcome.chunks, 10);
  EXPECT_EQ(some.outcome.coded_chunks, 3);
  EXPECT_LT(some.proof.code.size(), all.proof.code.size() / 2);
  EXPECT_EQ(decompress(some.proof, make_session(config).get(), tokens), tokens);
  std::vector<uint16_t> wrong = tokens;
  const size_t inside = static_cast<size_t>(some.proof.sampled[1]) * 300 + 100;
  wrong[inside] ^= 1;  // a target that is coded: not looked at
  EXPECT_EQ(decompress(some.proof, make_session(config).get(), wrong), tokens);
  size_t outside = 100;
  while (std::count(some.proof.sampled.begin(), some.proof.sampled.end(), outside / 300) != 0) outside += 300;
  wrong[outside] ^= 1;
  expect_error("--data is not the text", [&] { decompress(some.proof, make_session(config).get(), wrong); });
}

// The states of a ledger take the place of training, and are believed only if they are of the same run.
TEST(Proof, SamplesStartFromTheStatesOfALedger) {
  const Scratch scratch;
  Model model = make_model(scratch);
  const std::vector<uint16_t> tokens = tiny_tokens(3001);
  write_shard(scratch.path("t_val_000000.bin"), tokens);
  ProofMethod method = method_of(Scoring::kTraining, true, model.config);
  const ByteTables tables{std::vector<int16_t>(96, 2), std::vector<uint8_t>(96), std::vector<uint8_t>(96)};
  {
    const auto session = make_session(model.config);
    LedgerRecorder recorder(scratch.path("ledger"), false, 3,
                            scored_files(model.path, scratch.path("t_val_000000.bin"), model.path, 1), LedgerRecorder::Clock::now());
    run_scoring(method.score, session.get(), tokens, tables, 1, false, kQuiet, &recorder);
  }
  const ProofStates states(scratch.path("ledger"), model, method, 3001);
  const Compressed some = compress(method, model.config, tokens, 3);
  ASSERT_GT(some.proof.sampled.back(), 3);  // the first state is chunk 3's
  EXPECT_EQ(decompress(some.proof, make_session(model.config).get(), tokens, false, states), tokens);
  std::filesystem::remove(scratch.path("ledger/state-3.safetensors"));
  expect_error("state-3.safetensors", [&] { decompress(some.proof, make_session(model.config).get(), tokens, false, states); });
  expect_error("another artifact or text", [&] { ProofStates(scratch.path("ledger"), model, method, 3000); });
  method.score.config.ttt.lr = 0.04;
  expect_error("another method", [&] { ProofStates(scratch.path("ledger"), model, method, 3001); });
}

TEST(Proof, SamplesAreDistinctAndTheSameEverywhere) {
  EXPECT_TRUE(sample_chunks(10, 0, 1).empty());
  EXPECT_TRUE(sample_chunks(10, 10, 1).empty());
  EXPECT_EQ(sample_chunks(1500, 5, 1), (std::vector<int64_t>{478, 610, 965, 1053, 1118}));
  EXPECT_NE(sample_chunks(1500, 5, 1), sample_chunks(1500, 5, 2));
  EXPECT_EQ(sample_chunks(10, 9, 4).size(), 9u);
}

TEST(Proof, OtherWeightsOrAnotherCodeAreFoundOut) {
  const ModelConfig config = tiny_config();
  const std::vector<uint16_t> tokens = tiny_tokens(601);
  Compressed c = compress(method_of(Scoring::kSliding, false, config), config, tokens);
  expect_error("not the text that was coded", [&] { decompress(c.proof, make_session(config, 2, 4).get()); });
  for (const size_t at : {size_t{0}, c.proof.code.size() / 2, c.proof.code.size() - 1}) {
    ProofFile damaged = c.proof;
    damaged.code[at] ^= std::byte{0x10};
    expect_error("not the text that was coded", [&] { decompress(damaged, make_session(config).get()); });
  }
  ProofFile longer = c.proof;
  longer.code.push_back(std::byte{1});
  expect_error("not the text that was coded", [&] { decompress(longer, make_session(config).get()); });
  ProofFile one = c.proof;
  one.shards = {{"a", 1}};
  expect_error("two tokens or more", [&] { decompress(one, make_session(config).get()); });
  one = c.proof;
  one.first_token = 96;
  expect_error("beyond the model's vocabulary", [&] { decompress(one, make_session(config).get()); });
  one = c.proof;
  one.sampled = {70};
  expect_error("chunk 70 is sampled", [&] { decompress(one, make_session(config).get(), tokens); });
}

TEST(ProofMethod, SettingsComeBack) {
  const ModelConfig config = tiny_config();
  ProofMethod m = method_of(Scoring::kTraining, true, config);
  m.arith = Arith::kNative;
  m.score.config.ttt.fake_quant = {FakeQuantConfig::Scope::kMatrices, -31};
  m.score.config.hash = {.buckets = 40, .multiplier = 31, .before_norm = true, .own_previous = true};
  const std::vector<ProofSetting> written = proof_settings(m, config);
  EXPECT_EQ(written.size(), 16u);  // all that differ from the default
  const ProofMethod back = proof_method(written, config, "x");
  EXPECT_EQ(settings(back.score), settings(m.score));
  EXPECT_EQ(back.arith, Arith::kNative);
  EXPECT_EQ(back.score.config.ttt.fake_quant.low, -31);
  m = method_of(Scoring::kSliding, false, config);
  EXPECT_EQ(proof_settings(m, config).size(), 1u);  // the stride; what is off counts for nothing
}

TEST(ProofMethod, RefusesWhatCannotBe) {
  const ModelConfig config = tiny_config();
  const auto refused = [&](const std::string& part, const std::vector<ProofSetting>& written) {
    expect_error(part, [&] { proof_method(written, config, "x.s16z"); });
  };
  refused("setting 22 is unknown", {{22, int64_t{1}}});
  refused("ttt.parts: expected a power of two", {{2, int64_t{2}}, {4, int64_t{8}}, {21, int64_t{3}}});
  refused("setting 2 is out of range", {{2, int64_t{3}}});
  refused("setting 2 is out of range", {{2, int64_t{-1}}});
  refused("setting 5 is out of range", {{5, int64_t{2}}});
  refused("setting 3 is out of range", {{3, int64_t{1} << 40}});
  refused("setting 6 is out of range", {{2, int64_t{2}}, {6, int64_t{1}}});  // a real one as a whole one
  refused("setting 4 is out of range", {{4, 8.0}});
  refused("stride: expected", {{4, int64_t{33}}});
  refused("window: expected", {{3, int64_t{-5}}});
  refused("a hash embedding without training", {{15, int64_t{1}}});
}

TEST(ProofMethod, ParityRulesArePutAside) {
  ScoreMethod m{.scoring = Scoring::kSliding, .hash = false, .config = {}};
  EXPECT_EQ(make_decodable(&m), "");
  m.config.edge = Edge::kFullOnly;
  m.config.drop_tail = true;
  EXPECT_EQ(make_decodable(&m), "edge rule full_only and drop_tail put aside: every target is coded once");
  EXPECT_TRUE(m.config.edge == Edge::kExact && !m.config.drop_tail);
  m.config.tap_in.enabled = true;
  expect_error("Tap-In", [&] { make_decodable(&m); });
}

}  // namespace
}  // namespace sixteen::testing
