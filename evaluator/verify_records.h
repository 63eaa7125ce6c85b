// Walks through a ledger's records in order and checks what each may say after those before it: coverage and order of the scores,
// seals, updates on sealed targets alone, linked digests, reads, clocks, totals. Knows tokens and losses, executes nothing.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "evaluator/exact_sum.h"
#include "evaluator/verdict.h"
#include "evaluator/verify.h"

namespace sixteen {

class RecordWalk {
 public:
  // ledger.tokens, tables and nll are there; fills in ledger->chunks and complete.
  RecordWalk(const VerifyOptions& options, LedgerCase* ledger, Verdict* verdict);
  // start: digests that the state before the first score must have. Returns false when a record is beyond reading.
  bool walk(const nlohmann::json& start);

 private:
  using Json = nlohmann::json;
  void fault(Condition condition, const char* check, const std::string& detail, int64_t target = -1);
  void visit(const LedgerRecord& record);
  void score(const Json& r);
  void check_losses(const Json& r, const ScoredChunk& c);
  void cover(const Json& ranges, ScoredChunk* c);
  void seal(const Json& r);
  void state(const Json& r);
  void update(const Json& r);
  void read(const Json& r);
  void clock(const Json& r);
  void final_record(const Json& r);
  void conclude();

  const VerifyOptions& options_;
  LedgerCase& ledger_;
  Verdict* verdict_;
  size_t index_ = 0;                  // of the record being visited
  std::vector<uint8_t> times_;        // by target: how often it was scored
  int64_t highest_ = 0;               // target so far
  bool ascending_ = true;
  int64_t distinct_ = 0, repeated_ = 0;
  size_t nlls_ = 0;
  double nats_ = 0;
  int64_t bytes_ = 0;
  ExactSum exact_;
  Json start_, digests_, expected_;   // of the state now; of the next state record (null: none may come)
  std::optional<size_t> state_record_;
  std::vector<size_t> unsealed_;      // records
  int64_t sealed_ = 0, seals_ = 0, updates_ = 0, reads_ = 0, open_read_ = -1;
  Sha256Stream read_hash_;
  int64_t read_hashed_ = 0;
  double total_s_ = 0;
  size_t faults_ = 0;
};

}  // namespace sixteen
