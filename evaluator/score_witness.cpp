// See score_witness.h.
#include "evaluator/score_witness.h"

#include <nlohmann/json.hpp>

#include "evaluator/ledger.h"
#include "formats/error.h"
#include "formats/sha256.h"

namespace sixteen {
namespace {

// The digests that `chunk` was scored with, of the ledger's last record that has a state file.
nlohmann::json digests_at(const std::string& folder, int64_t chunk) {
  const Ledger ledger = read_ledger(ledger_path(folder));
  for (size_t i = ledger.records.size(); i-- > 0;) {
    const nlohmann::json& body = ledger.records[i].body;
    if (ledger.records[i].kind == "state" && body.contains("snapshot") && body.at("chunk") == chunk)
      return body.at("digests");
  }
  fail(ledger_path(folder), ": no state of chunk ", chunk, "; all ranks must see the same folder");
}

// Sees that every rank is where rank 0 is.
void check_place(ScoreRun* run, int64_t chunk) {
  if (chunk > 0) common_digests(run);
}

}  // namespace

nlohmann::json common_digests(ScoreRun* run) {
  nlohmann::json digests = state_digests(run);
  const std::string text = digests.dump();
  const std::vector<Sha256> all = run->session().device().ranks().gather(sha256(std::as_bytes(std::span(text))));
  for (size_t r = 1; r < all.size(); ++r) {
    if (all[r] != all[0])
      fail("rank ", r, " holds another state than rank 0: the ranks' devices do not compute the same bits");
  }
  return digests;
}

void announce_place(ScoreRun* run, int64_t chunk) {
  const int64_t read_end = run->tap_in() == nullptr ? 0 : run->tap_in()->read_end();
  run->session().device().ranks().from_first(ResumedAt{.chunk = chunk, .read_end = read_end});
  check_place(run, chunk);
}

int64_t RankWitness::begin(ScoreRun* run, ScoreSum*, std::vector<float>*) {
  run_ = run;
  common_digests(run);
  const ResumedAt at = run->session().device().ranks().from_first(ResumedAt{});
  if (run->tap_in() != nullptr) run->tap_in()->read_until(at.read_end);
  if (at.chunk > 0 && run->method().scoring == Scoring::kTraining) {
    restore_state(state_path(folder_, at.chunk), digests_at(folder_, at.chunk), run);
  }
  check_place(run, at.chunk);
  return at.chunk;
}

void RankWitness::trained(int64_t, std::span<const TttStep> steps) {
  if (!steps.empty()) common_digests(run_);
}

}  // namespace sixteen
