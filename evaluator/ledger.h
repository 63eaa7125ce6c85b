// Writes the ledger of a scoring run (docs/FORMATS.md 10, docs/LEGALITY.md) and takes one up again where it was left.
//
// A folder: ledger.txt, the chained records; nll.f32, the loss of every target in the order of scoring, written before the record
// that holds its digest; state-CHUNK.safetensors, what a chunk is scored with, a few a run, written beside the scoring (state_writer.h)
// and whole before the final record.
// Bites: a run that is taken up again is executed once more from the nearest state, and every record that is there must come out
// the same to the last character; clocks alone differ. So equal bits are checked, not hoped for.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "evaluator/score_run.h"
#include "evaluator/score_witness.h"
#include "formats/ledger.h"
#include "formats/sha256.h"

namespace sixteen {

inline std::string ledger_path(const std::string& folder) { return folder + "/ledger.txt"; }
inline std::string nll_path(const std::string& folder) { return folder + "/nll.f32"; }
inline std::string state_path(const std::string& folder, int64_t chunk) { return folder + "/state-" + std::to_string(chunk) + ".safetensors"; }

// The files of a run, as its first record names them.
struct ScoredFiles {
  nlohmann::json artifact, data, tokenizer;
};
ScoredFiles scored_files(const std::string& artifact, const std::string& data, const std::string& tokenizer, int32_t bos);

// Digests by name of everything in run.state(), and of the tokens that Tap-In has read ("cache").
nlohmann::json state_digests(ScoreRun* run);
// A state file's tensors into the run's buffers. Throws Error unless their digests are the given ones.
void restore_state(const std::string& path, const nlohmann::json& digests, ScoreRun* run);

// Consecutive targets as [first, count], in the order of scoring.
nlohmann::json target_ranges(std::span<const Window> windows);
nlohmann::json trained_ranges(std::span<const int64_t> starts, int64_t window);

class LedgerRecorder final : public ScoreWitness {  // of rank 0
 public:
  using Clock = std::chrono::steady_clock;
  // A new folder, or with `resume` one that is there. started: when the validation tokens were first read. snapshots: state files.
  LedgerRecorder(const std::string& folder, bool resume, int64_t snapshots, ScoredFiles files, Clock::time_point started);
  ~LedgerRecorder() override;

  // First of all: writes or checks the first records. Returns the chunk to go on with and what was scored before it.
  int64_t begin(ScoreRun* run, ScoreSum* sum, std::vector<float>* nll) override;
  void scored(int64_t chunk, std::span<const float> nll, const ScoreSum& sum) override;
  void trained(int64_t chunk, std::span<const TttStep> steps) override;
  void finish(const ScoreSum& sum) override;

  // What the folder holds when the run ends here, and how to go on. Errors of writing to the folder say it.
  std::string left() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sixteen
