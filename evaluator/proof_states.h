// States to start from in a sampled proof: the state files of a ledger, instead of training from the first chunk on.
//
// A state counts only when its digests are those that the ledger's chain records, and the ledger is of the same artifact, method and
// number of tokens. That the states follow from each other is the ledger's own affair (verify --replay).
#pragma once

#include <string>
#include <vector>

#include "evaluator/ledger.h"
#include "evaluator/proof_method.h"
#include "model/checkpoint.h"

namespace sixteen {

class ProofStates {
 public:
  ProofStates() = default;  // none
  // folder: of `score --ledger`. Throws Error when it is damaged or of another run.
  ProofStates(const std::string& folder, const Model& model, const ProofMethod& method, int64_t tokens);

  // Puts a run that is at the start of chunk `at` into the state of the last file after it and not after `chunk`; returns whose.
  int64_t advance(ScoreRun* run, int64_t at, int64_t chunk) const;

 private:
  struct State {
    int64_t chunk = 0;
    std::string path;
    nlohmann::json digests;
  };
  std::vector<State> states_;  // ascending
};

}  // namespace sixteen
