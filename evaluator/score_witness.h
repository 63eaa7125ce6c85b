// Who looks on while a text is scored chunk by chunk: the recorder of a ledger on rank 0, and on the other ranks the witness that
// the ledger speaks of them too.
//
// A ledger names the digest of the state that scored. When ranks share out the windows that is true only if all of them hold
// that state, so they compare digests whenever it has changed.
// Bites: with a ledger every rank needs a witness, since comparing is collective.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "evaluator/score_run.h"

namespace sixteen {

class ScoreWitness {
 public:
  virtual ~ScoreWitness() = default;
  // First of all. Returns the chunk to go on with, in whose state the run is then, and what was scored before it.
  virtual int64_t begin(ScoreRun* run, ScoreSum* sum, std::vector<float>* nll) = 0;
  virtual void scored(int64_t chunk, std::span<const float> nll, const ScoreSum& sum) = 0;
  virtual void trained(int64_t chunk, std::span<const TttStep> steps) = 0;  // also where the chunk trains on nothing
  virtual void finish(const ScoreSum& sum) = 0;
  virtual std::string left() const = 0;  // when the run ends here: what there is, and how to go on
};

// state_digests() of this rank; throws Error naming a rank whose state is another than rank 0's. Collective.
nlohmann::json common_digests(ScoreRun* run);

// Rank 0's place in a run that is gone on with, on every rank.
struct ResumedAt {
  int64_t chunk = 0, read_end = 0;  // read_end: of Tap-In
};
// The recorder's end of RankWitness::begin(): tells the others, and sees that they got there. Collective.
void announce_place(ScoreRun* run, int64_t chunk);

// Of the ranks behind 0. folder: the ledger's, from which a run that is gone on with takes its state.
class RankWitness final : public ScoreWitness {
 public:
  explicit RankWitness(std::string folder) : folder_(std::move(folder)) {}
  int64_t begin(ScoreRun* run, ScoreSum* sum, std::vector<float>* nll) override;
  void scored(int64_t, std::span<const float>, const ScoreSum&) override {}
  void trained(int64_t chunk, std::span<const TttStep> steps) override;
  void finish(const ScoreSum&) override {}
  std::string left() const override { return "rank 0 says what " + folder_ + " holds"; }

 private:
  std::string folder_;
  ScoreRun* run_ = nullptr;
};

}  // namespace sixteen
