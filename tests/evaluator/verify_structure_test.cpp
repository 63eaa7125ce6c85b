// verify without executing anything: honest ledgers pass; every planted fault is caught under its condition although the chain is right;
// every damaged byte is found and named.
#include <gtest/gtest.h>

#include "evaluator/verify_records.h"
#include "tests/support/bytes.h"
#include "tests/support/ledger_case.h"

namespace sixteen {
namespace {

using testing::LedgerFiles;
using Json = nlohmann::json;
using Records = LedgerFiles::Records;
using Losses = LedgerFiles::Losses;

LedgerFiles& files() {
  static LedgerFiles made;
  static const bool scored = [] {
    made.score(made.method(Scoring::kTraining), "ttt");
    made.score(made.method(Scoring::kSliding), "sliding");
    made.score(made.method(Scoring::kPlain), "plain");
    return true;
  }();
  CHECK(scored);
  return made;
}

// The n-th record of a kind.
Json& nth(Records* records, const std::string& kind, int n = 0) {
  for (Json& record : *records) {
    if (record.at("kind") == kind && n-- == 0) return record;
  }
  ADD_FAILURE() << "no " << kind;
  return records->front();
}

size_t place(Records* records, const std::string& kind, int n = 0) {
  return static_cast<size_t>(&nth(records, kind, n) - records->data());
}

TEST(VerifyStructure, HonestRunsPassInStrongOrder) {
  for (const char* folder : {"ttt", "sliding", "plain"}) {
    const Verdict verdict = files().verify(files().options(folder));
    EXPECT_TRUE(verdict.legal()) << verdict.text();
    EXPECT_EQ(verdict.headline(), "NO VIOLATION FOUND, not checked: C2") << folder;
    EXPECT_EQ(verdict.json().at("order"), "strong");
    EXPECT_GT(verdict.json().at("bpb"), 0.1);
  }
}

struct Plant {
  const char* name;
  Condition condition;
  const char* says;
  std::function<void(Records*, Losses*)> edit;
};

const std::vector<Plant>& plants() {
  static const std::vector<Plant> all = {
      {"update_before_score", Condition::kC3, "not scored yet",
       [](Records* r, Losses*) { std::swap(r->at(place(r, "update")), r->at(place(r, "score"))); }},
      {"trains_ahead", Condition::kC3, "not scored yet", [](Records* r, Losses*) { nth(r, "update")["ranges"] = {{9, 96}}; }},
      {"trains_on_unsealed", Condition::kC3, "not sealed", [](Records* r, Losses*) { r->erase(r->begin() + static_cast<int64_t>(place(r, "seal", 1))); }},
      {"seal_of_the_future", Condition::kC3, "refers to seal", [](Records* r, Losses*) { nth(r, "update")["seal"] = 1; }},
      {"seal_of_others", Condition::kC3, "a seal that is not", [](Records* r, Losses*) { nth(r, "seal", 1)["through"] = 5000; }},
      {"score_of_other_weights", Condition::kC3, "another state", [](Records* r, Losses*) { nth(r, "score", 2)["weights"] = std::string(64, '0'); }},
      {"score_of_an_old_state", Condition::kC3, "another state", [](Records* r, Losses*) { nth(r, "score", 2)["state"] = nth(r, "score", 1)["state"]; }},
      {"state_without_update", Condition::kC3, "without an update", [](Records* r, Losses*) { r->erase(r->begin() + static_cast<int64_t>(place(r, "update", 1))); }},
      {"update_leaves_another_state", Condition::kC3, "expected what the update left",
       [](Records* r, Losses*) { nth(r, "update")["after"]["momentum"] = std::string(64, '1'); }},
      {"update_from_another_state", Condition::kC3, "does not start from", [](Records* r, Losses*) { nth(r, "update")["before"]["hash"] = std::string(64, '1'); }},
      {"update_at_the_end", Condition::kC3, "never recorded", [](Records* r, Losses*) { r->insert(r->end() - 1, nth(r, "update")); }},
      {"trained_before_the_start", Condition::kC1, "before the first score",
       [](Records* r, Losses*) { nth(r, "state")["digests"]["momentum"] = nth(r, "state", 1)["digests"]["momentum"]; }},
      {"other_weights_than_the_artifacts", Condition::kC1, "before the first score",
       [](Records* r, Losses*) { nth(r, "state")["digests"]["weights"] = nth(r, "state", 1)["digests"]["weights"]; }},
      {"reads_ahead", Condition::kC1, "were read before", [](Records* r, Losses*) {
         nth(r, "read", 1)["range"] = {0, 300};
         nth(r, "read", 1).erase("cache");
       }},
      {"cache_of_other_tokens", Condition::kC1, "the cache is not made of", [](Records* r, Losses*) { nth(r, "read")["cache"] = std::string(64, '2'); }},
      {"scored_twice", Condition::kC4, "scored again", [](Records* r, Losses*) { nth(r, "score", 1)["ranges"] = {{90, 96}}; }},
      {"tail_counted_again", Condition::kC4, "scored again",
       [](Records* r, Losses* losses) {
         Json score = nth(r, "score", 4);
         const size_t count = score.at("count");
         losses->insert(losses->end(), losses->end() - static_cast<int64_t>(count), losses->end());
         score["first_nll"] = score.at("first_nll").get<size_t>() + count;
         r->insert(r->end() - 1, score);
       }},
      {"last_chunk_dropped", Condition::kC4, "never scored",
       [](Records* r, Losses* losses) {
         const Json score = nth(r, "score", 4);
         losses->resize(score.at("first_nll"));
         r->erase(r->begin() + static_cast<int64_t>(place(r, "read", 4)), r->end() - 2);
       }},
      {"beyond_the_stream", Condition::kC4, "of a stream with targets", [](Records* r, Losses*) { nth(r, "score", 4)["ranges"] = {{400, 45}}; }},
      {"fewer_ranges_than_losses", Condition::kC4, "losses", [](Records* r, Losses*) { nth(r, "score", 4)["ranges"] = {{385, 44}}; }},
      {"fewer_targets_declared", Condition::kC4, "declares", [](Records* r, Losses*) { nth(r, "open")["targets"] = 400; }},
      {"a_second_run", Condition::kC4, "a second run", [](Records* r, Losses*) { r->insert(r->end() - 1, r->front()); }},
      {"two_finals", Condition::kC4, "behind the final one", [](Records* r, Losses*) { r->push_back(r->back()); }},
      {"no_final", Condition::kC4, "the run is not over", [](Records* r, Losses*) { r->pop_back(); }},
      {"probability_above_one", Condition::kC2, "a probability above 1", [](Records*, Losses* losses) { losses->at(100) = -0.5f; }},
      {"bytes_of_a_chunk", Condition::kBytes, "bytes", [](Records* r, Losses*) { nth(r, "score", 1)["bytes"] = 1 + nth(r, "score", 1)["bytes"].get<int64_t>(); }},
      {"bytes_in_all", Condition::kBytes, "bytes", [](Records* r, Losses*) { r->back()["bytes"] = 100000; }},
      {"better_total", Condition::kIntegrity, "nats", [](Records* r, Losses*) { r->back()["nats"] = 0.9 * r->back()["nats"].get<double>(); }},
      {"better_bpb", Condition::kIntegrity, "bpb", [](Records* r, Losses*) { r->back()["bpb"] = 0.9 * r->back()["bpb"].get<double>(); }},
      {"better_losses_alone", Condition::kIntegrity, "nats", [](Records*, Losses* losses) { losses->at(100) -= 0.01f; }},
      {"losses_nobody_speaks_of", Condition::kIntegrity, "records for", [](Records*, Losses* losses) { losses->push_back(1); }},
      {"losses_missing", Condition::kIntegrity, "losses", [](Records*, Losses* losses) { losses->pop_back(); }},
      {"unknown_kind", Condition::kIntegrity, "unknown kind", [](Records* r, Losses*) { nth(r, "clock")["kind"] = "clocks"; }},
      {"a_field_missing", Condition::kIntegrity, "does not say what it must", [](Records* r, Losses*) { nth(r, "score").erase("bytes"); }},
      {"another_artifact", Condition::kIntegrity, "is not the scored file", [](Records* r, Losses*) { nth(r, "open")["artifact"]["sha256"] = std::string(64, '3'); }},
      {"slow", Condition::kTime, "allowed are 600", [](Records* r, Losses*) { nth(r, "clock", 5)["seconds"]["total"] = 700.0; }},
      {"clock_goes_back", Condition::kTime, "the clock goes back", [](Records* r, Losses*) { nth(r, "clock", 0)["seconds"]["total"] = 500.0; }},
      {"phases_longer_than_all", Condition::kTime, "phases of", [](Records* r, Losses*) { nth(r, "clock", 3)["seconds"]["score"] = 100.0; }},
  };
  return all;
}

TEST(VerifyStructure, EveryPlantedFaultIsCaught) {
  for (const Plant& plant : plants()) {
    files().forge("ttt", "forged", plant.edit);
    const Verdict verdict = files().verify(files().options("forged"));
    EXPECT_FALSE(verdict.legal()) << plant.name;
    bool said = false;
    for (const Evidence& e : verdict.evidence()) {
      said = said || (e.result == Evidence::Result::kFault && e.condition == plant.condition && e.detail.find(plant.says) != std::string::npos);
    }
    EXPECT_TRUE(said) << plant.name << ": " << plant.says << "\n" << verdict.text();
  }
}

TEST(VerifyStructure, AnotherOrderThanTheStreamsIsWeakAndSaid) {
  files().forge("plain", "forged", [](Records* r, Losses* losses) {
    Json& score = nth(r, "score");
    const int64_t count = score.at("count");
    score["ranges"] = {{301, count - 300}, {1, 300}};
    std::rotate(losses->begin(), losses->begin() + 300, losses->end());
    double nats = 0;
    for (const float loss : *losses) nats += loss;
    r->back()["nats"] = nats;
    r->back()["bpb"] = ScoreSum{nats, count, r->back().at("bytes")}.bpb();
  });
  const Verdict verdict = files().verify(files().options("forged"));
  EXPECT_TRUE(verdict.legal()) << verdict.text();
  EXPECT_EQ(verdict.json().at("order"), "weak");
}

TEST(VerifyStructure, EveryFlippedByteOfTheLossesIsFound) {
  Verdict honest("x");
  const std::unique_ptr<LedgerCase> c = check_ledger(files().options("ttt"), &honest);
  ASSERT_NE(c, nullptr);
  const Json start = c->ledger.records[2].body.at("digests");  // open, clock, state
  auto* bytes = reinterpret_cast<unsigned char*>(c->nll.data());
  for (size_t i = 0; i < c->nll.size() * sizeof(float); ++i) {
    bytes[i] ^= 1;
    c->chunks.clear();
    c->complete = false;
    Verdict verdict("flip");
    const VerifyOptions options = files().options("ttt");
    EXPECT_TRUE(RecordWalk(options, c.get(), &verdict).walk(start));
    ASSERT_TRUE(verdict.violated(Condition::kIntegrity)) << i;
    const Evidence& first = verdict.evidence().front();
    ASSERT_NE(first.detail.find("nll.f32"), std::string::npos) << first.detail;
    ASSERT_LE(first.first_target, static_cast<int64_t>(i / 4) + 1);
    bytes[i] ^= 1;
  }
}

TEST(VerifyStructure, EveryFlippedByteOfTheOtherFilesIsFound) {
  // The chain itself: tests/formats/ledger_test.cpp, bit by bit. Here: that verify says so, for each file and with its name.
  const auto expect_found = [](const std::string& path, size_t every) {
    const std::string good = read_text_file(path);
    for (size_t i = 0; i < good.size(); i += every) {
      testing::Scratch::poke(path, i, static_cast<char>(good[i] ^ 1));
      std::string said;
      try {
        const Verdict verdict = files().verify(files().options("ttt"));
        if (!verdict.legal()) said = verdict.text();
      } catch (const Error& error) {
        said = error.what();
      }
      ASSERT_NE(said.find(path.substr(path.rfind('/') + 1)), std::string::npos) << path << ", byte " << i << ": " << said;
      testing::Scratch::poke(path, i, good[i]);
    }
  };
  expect_found(files().path("v.bin"), 1);
  expect_found(files().path("m.safetensors"), 331);
  expect_found(ledger_path(files().path("ttt")), 37);
  expect_found(files().path("t.model"), 1009);
  expect_found(files().path("ttt") + "/state-2.safetensors", 4999);
}

TEST(VerifyStructure, TheRawTextIsTheDenominator) {
  // Two documents of the shard, decoded and written as .jsonl.
  const Tokenizer tokenizer(files().path("t.model"));
  std::vector<uint16_t> tokens = read_shards(files().path("v.bin"), LedgerFiles::kVocab);
  std::string jsonl;
  std::vector<int32_t> ids;
  std::vector<uint16_t> again;
  const auto close = [&] {
    const std::string document = tokenizer.decode(ids);
    jsonl += Json{{"text", document}}.dump() + "\n";
    again.push_back(1);
    for (const int32_t id : tokenizer.encode(document)) again.push_back(static_cast<uint16_t>(id));
    ids.clear();
  };
  for (size_t i = 1; i < tokens.size(); ++i) {
    if (tokens[i] == 1) close();
    else ids.push_back(tokens[i]);
  }
  close();
  VerifyOptions o = files().options("plain");
  Verdict ignored("x");
  const std::unique_ptr<LedgerCase> c = check_ledger(o, &ignored);
  ASSERT_NE(c, nullptr);
  c->tokens = again;
  o.text = files().path("text.jsonl");
  const auto judge = [&](const std::string& text) {
    write_file(o.text, text);
    Verdict verdict("text");
    check_text(o, *c, &verdict);
    return verdict;
  };
  EXPECT_TRUE(judge(jsonl).legal()) << judge(jsonl).text();
  std::string other = jsonl;
  other[other.size() / 2] = other[other.size() / 2] == 'e' ? 'a' : 'e';
  EXPECT_TRUE(judge(other).violated(Condition::kBytes));
  EXPECT_TRUE(judge(jsonl.substr(0, jsonl.find('\n') + 1)).violated(Condition::kBytes));  // a document is missing
}

}  // namespace
}  // namespace sixteen
