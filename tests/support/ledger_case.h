// A small run with a ledger: model, tokenizer, shard, and the folder it leaves; forged ledgers whose chain is right again.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "evaluator/scoring.h"
#include "evaluator/verify.h"
#include "formats/shard.h"
#include "graph/world.h"
#include "model/checkpoint.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"
#include "trainer/corpus.h"
#include "trainer/tokenize.h"
#include "trainer/tokenizer_train.h"

namespace sixteen::testing {

inline constexpr Console kQuiet{.json = false, .quiet = true};

// Files of one scored text; made once a test suite.
class LedgerFiles {
 public:
  static constexpr int64_t kVocab = 360, kTokens = 430, kWindow = 32;

  LedgerFiles() {
    write_corpus(path("text.txt"), 20000, 1, kQuiet);
    train_tokenizer({.text = {path("text.txt")}, .vocab = kVocab, .out = path("t.model")}, kQuiet);
    tokenize({.tokenizer = path("t.model"), .text = {path("text.txt")}, .out = scratch_.folder(), .val_documents = 3}, kQuiet);
    std::vector<uint16_t> tokens = read_shards(path("tokens_val_*.bin"), kVocab);
    tokens.resize(kTokens);
    tokens[250] = 1;  // the second document begins early
    write_shard(path("v.bin"), tokens);
    const ModelConfig config = tiny_config(kVocab);
    save_checkpoint(path("m.safetensors"), config, tiny_store(config));
    model_ = std::make_unique<Model>(load_model(path("m.safetensors")));
  }

  std::string path(const std::string& name) const { return scratch_.path(name); }
  const Model& model() const { return *model_; }

  ScoreMethod method(Scoring scoring) const {
    ScoreMethod m{scoring, scoring == Scoring::kTraining, {}};
    m.config.window = kWindow;
    m.config.stride = 8;
    m.config.ttt.chunk = 96;
    m.config.ttt.lr = 0.05;
    m.config.ttt.epochs = 2;
    m.config.ttt.batch_seqs = 2;
    m.config.hash = {.buckets = 64, .multiplier = 2039};
    m.config.tap_in = {.enabled = scoring != Scoring::kPlain, .top_k = 20, .within_weight = 0.1};
    validate(&m.config, model_->config, scoring, "test");
    return m;
  }

  // Scores into a folder; resume: goes on with it. On a rank of `world`, or alone.
  ScoreOutcome score(const ScoreMethod& method, const std::string& folder, bool resume = false, int threads = 2,
                     const std::shared_ptr<World>& world = nullptr) const {
    const Tokenizer tokenizer(path("t.model"));
    const ByteTables tables = tokenizer.byte_tables();
    const std::vector<uint16_t> tokens = read_shards(path("v.bin"), kVocab);
    Session session(make_device("cpu", threads, world), model_->config, model_->table);
    session.set_weights(model_->store);
    std::unique_ptr<ScoreWitness> witness = std::make_unique<RankWitness>(path(folder));
    if (world == nullptr || world->rank() == 0) {
      ScoredFiles files = scored_files(path("m.safetensors"), path("v.bin"), path("t.model"), tokenizer.bos_id());
      witness = std::make_unique<LedgerRecorder>(path(folder), resume, 2, std::move(files), LedgerRecorder::Clock::now());
    }
    return run_scoring(method, &session, tokens, tables, tokenizer.bos_id(), true, kQuiet, witness.get());
  }

  VerifyOptions options(const std::string& folder) const {
    VerifyOptions o;
    o.ledger = path(folder);
    o.artifact = path("m.safetensors");
    o.data = path("v.bin");
    o.tokenizer = path("t.model");
    o.seed = 1;
    o.threads = 2;
    o.console = kQuiet;
    return o;
  }

  // The structure's verdict; `execute` goes on from it.
  Verdict verify(const VerifyOptions& o, const std::function<void(const LedgerCase&, Verdict*)>& execute = nullptr) const {
    Verdict verdict(o.ledger);
    const std::unique_ptr<LedgerCase> ledger = check_ledger(o, &verdict);
    if (ledger != nullptr && execute) execute(*ledger, &verdict);
    return verdict;
  }

  using Records = std::vector<nlohmann::json>;
  using Losses = std::vector<float>;
  // A copy of a ledger with edited records and losses; chain, seals and the sums of scores are made right again.
  void forge(const std::string& from, const std::string& to, const std::function<void(Records*, Losses*)>& edit, bool repair = true) const {
    std::filesystem::remove_all(path(to));
    std::filesystem::copy(path(from), path(to));
    std::vector<nlohmann::json> records;
    for (const LedgerRecord& record : read_ledger(ledger_path(path(from))).records) records.push_back(record.body);
    const std::string bytes = read_text_file(nll_path(path(from)));
    std::vector<float> losses(bytes.size() / sizeof(float));
    std::memcpy(losses.data(), bytes.data(), bytes.size());
    edit(&records, &losses);
    LedgerFile file(ledger_path(path(to)));
    std::string sealed;
    for (nlohmann::json& r : records) {
      if (repair && r.at("kind") == "score") repair_score(losses, &r);
      if (r.at("kind") == "score") sealed += record_text(r);
      if (repair && r.at("kind") == "seal") {
        r["sha256"] = text_digest(sealed);
        sealed.clear();
      }
      file.append(r);
    }
    Scratch::overwrite(nll_path(path(to)), std::string_view(reinterpret_cast<const char*>(losses.data()), losses.size() * sizeof(float)));
  }

 private:
  static void repair_score(const std::vector<float>& losses, nlohmann::json* r) {
    const size_t first = std::min(r->at("first_nll").get<size_t>(), losses.size());
    const size_t count = std::min(r->at("count").get<size_t>(), losses.size() - first);
    const std::span<const float> nll = std::span(losses).subspan(first, count);
    double nats = 0;
    for (const float loss : nll) nats += loss;
    (*r)["nll_sha256"] = to_hex(sha256(std::as_bytes(nll)));
    (*r)["nats"] = nats;
  }

  Scratch scratch_;
  std::unique_ptr<Model> model_;
};

}  // namespace sixteen::testing
