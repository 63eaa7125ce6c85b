// Plays a ledger's run again from any chunk on: the state that a chunk was scored with comes from the nearest state file before it
// and the training in between.
//
// Bites: a state file counts only when its digests are those of its record, so what is played is what the ledger is about. On
// another backend than the ledger's the training in between rounds differently, and drifts.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "evaluator/score_run.h"
#include "evaluator/verify.h"

namespace sixteen {

class LedgerPlayer {
 public:
  LedgerPlayer(const VerifyOptions& options, const LedgerCase& ledger);

  ScoreRun& run() { return *run_; }
  Session& session() { return *session_; }
  const LedgerCase& ledger() const { return ledger_; }
  bool exact() const { return exact_; }  // the ledger's backend: bits must come out the same

  // The tokens that are scored, the ledger's to begin with. Of other tokens the count must be the same.
  void set_tokens(std::span<const uint16_t> tokens);

  // Puts the run into the state that `chunk` is scored with.
  void go_to(int64_t chunk);
  // Trains on `chunk`, whose state it must be in; returns "" or how it differs from the ledger's update (exact only).
  std::string train(int64_t chunk);
  // Losses of a chunk; those of targets behind `through` may be missing.
  std::vector<float> score(int64_t chunk, int64_t through = INT64_MAX);

  // All buffers of the state, and back.
  using Saved = std::vector<std::vector<float>>;
  Saved save();
  void load(const Saved& saved, int64_t chunk);

  std::string update_faults() const { return update_faults_; }  // of all training since the start, "" if none

 private:
  void reset();

  const LedgerCase& ledger_;
  bool exact_;
  std::vector<uint16_t> tokens_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<ScoreRun> run_;
  int64_t at_ = 0;  // chunk whose state it is
  bool original_ = true;  // the ledger's tokens
  std::string update_faults_;
};

}  // namespace sixteen
