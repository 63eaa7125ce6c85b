// See proof_states.h.
#include "evaluator/proof_states.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "evaluator/method_json.h"
#include "formats/error.h"

namespace sixteen {

ProofStates::ProofStates(const std::string& folder, const Model& model, const ProofMethod& method, int64_t tokens) {
  const std::string path = ledger_path(folder);
  const Ledger ledger = read_ledger(path);
  if (!ledger.fault.empty() && !ledger.torn) fail(path, ": ", ledger.fault);
  try {
    if (ledger.records.empty() || ledger.records[0].kind != "open") fail(path, ": no record of what was scored");
    const nlohmann::json& open = ledger.records[0].body;
    const ScoreMethod scored = method_from_json(open.at("method"), path);
    if (open.at("artifact").at("sha256") != to_hex(model.digest) || open.at("tokens") != tokens) {
      fail(path, ": of another artifact or text than the proof's");
    }
    const auto same = [](const ProofSetting& a, const ProofSetting& b) { return a.tag == b.tag && a.value == b.value; };
    const std::vector<ProofSetting> theirs = proof_settings({.score = scored, .arith = method.arith}, model.config),
                                    ours = proof_settings(method, model.config);
    if (scored.config.edge != Edge::kExact || scored.config.drop_tail ||
        !std::equal(theirs.begin(), theirs.end(), ours.begin(), ours.end(), same)) {
      fail(path, ": of another method than the proof's; score with the same flags, edge rule exact and no drop_tail");
    }
    for (const LedgerRecord& record : ledger.records) {
      if (record.kind != "state" || !record.body.contains("snapshot")) continue;
      const std::string file = folder + "/" + record.body.at("snapshot").get<std::string>();
      if (access(file.c_str(), R_OK) != 0) continue;  // the nearest before it serves
      states_.push_back({record.body.at("chunk").get<int64_t>(), file, record.body.at("digests")});
    }
  } catch (const nlohmann::json::exception& e) {
    fail(path, ": a record that this version does not write: ", e.what());
  }
}

int64_t ProofStates::advance(ScoreRun* run, int64_t at, int64_t chunk) const {
  const State* nearest = nullptr;
  for (const State& state : states_) {
    if (state.chunk > at && state.chunk <= chunk) nearest = &state;
  }
  if (nearest == nullptr) return at;
  restore_state(nearest->path, nearest->digests, run);
  return nearest->chunk;
}

}  // namespace sixteen
