// See ledger_player.h.
#include "evaluator/ledger_player.h"

#include <unistd.h>

#include <algorithm>

#include "formats/check.h"
#include "formats/error.h"

namespace sixteen {
namespace {

std::string backend(const std::string& device) { return device.substr(0, device.find(' ')); }

nlohmann::json without_cache(nlohmann::json digests) {
  digests.erase("cache");  // what was read says nothing about weights; reads have records of their own
  return digests;
}

}  // namespace

LedgerPlayer::LedgerPlayer(const VerifyOptions& options, const LedgerCase& ledger)
    : ledger_(ledger),
      tokens_(ledger.tokens),
      session_(std::make_unique<Session>(make_device(options.device, options.threads), ledger.model.config, ledger.model.table)) {
  session_->set_weights(ledger.model.store);
  exact_ = backend(session_->device().name()) == backend(ledger.ledger.records[0].body.at("device").get<std::string>());
  run_ = std::make_unique<ScoreRun>(ledger.method, session_.get(), tokens_, ledger.tables, ledger.bos);
}

void LedgerPlayer::set_tokens(std::span<const uint16_t> tokens) {
  CHECK(tokens.size() == tokens_.size());
  std::copy(tokens.begin(), tokens.end(), tokens_.begin());
  original_ = std::equal(tokens_.begin(), tokens_.end(), ledger_.tokens.begin());
  run_->forget_reads();
}

void LedgerPlayer::reset() {
  session_->set_weights(ledger_.model.store);
  for (const auto& [name, buffer] : run_->state()) {
    if (name == "weights") continue;
    const std::vector<float> zeros(buffer.bytes() / sizeof(float), 0.0f);
    session_->device().upload(buffer.data(), zeros.data(), buffer.bytes());
  }
  at_ = 0;
}

void LedgerPlayer::go_to(int64_t chunk) {
  if (ledger_.method.scoring != Scoring::kTraining) return;
  const LedgerRecord* nearest = nullptr;
  int64_t from = at_ <= chunk && original_ ? at_ : 0;
  const bool must_restart = !original_ || at_ > chunk;
  for (const LedgerRecord& record : ledger_.ledger.records) {
    if (record.kind != "state" || !record.body.contains("snapshot")) continue;
    const int64_t of = record.body.at("chunk");
    if (of > chunk || of <= from) continue;
    if (access((ledger_.folder + "/" + record.body.at("snapshot").get<std::string>()).c_str(), R_OK) != 0) continue;
    nearest = &record;
    from = of;
  }
  if (nearest != nullptr) {
    restore_state(ledger_.folder + "/" + nearest->body.at("snapshot").get<std::string>(), nearest->body.at("digests"), run_.get());
    at_ = from;
  } else if (must_restart) {
    reset();
  }
  CHECK(original_ || at_ == chunk);  // training in between must see the ledger's tokens
  while (at_ < chunk) train(at_);
}

std::string LedgerPlayer::train(int64_t chunk) {
  CHECK(at_ == chunk || ledger_.method.scoring != Scoring::kTraining);
  const std::vector<TttStep> steps = run_->train(chunk);
  at_ = chunk + 1;
  if (!exact_ || !original_ || steps.empty()) return "";
  const nlohmann::json* update = nullptr;
  for (const LedgerRecord& record : ledger_.ledger.records) {
    if (record.kind == "update" && record.body.at("chunk") == chunk) update = &record.body;
  }
  const std::string where = "chunk " + std::to_string(chunk) + ": ";
  std::string fault;
  if (update == nullptr) {
    fault = where + "the ledger has no update";
  } else if (without_cache(state_digests(run_.get())) != without_cache(update->at("after"))) {
    fault = where + "the state after the update is another";
  } else {
    for (size_t i = 0; i < steps.size() && fault.empty(); ++i) {
      if (update->at("losses").at(i) != steps[i].loss || update->at("grad_norms").at(i) != steps[i].grad_norm || update->at("lr") != steps[i].lr) {
        fault = where + "step " + std::to_string(i) + " of the update is another";
      }
    }
  }
  if (update_faults_.empty()) update_faults_ = fault;
  return fault;
}

std::vector<float> LedgerPlayer::score(int64_t chunk, int64_t through) {
  std::vector<float> nll;
  run_->score(chunk, &nll, nullptr, through);
  return nll;
}

LedgerPlayer::Saved LedgerPlayer::save() {
  Saved saved;
  for (const auto& [name, buffer] : run_->state()) {
    saved.emplace_back(buffer.bytes() / sizeof(float));
    session_->device().download(saved.back().data(), buffer.data(), buffer.bytes());
  }
  return saved;
}

void LedgerPlayer::load(const Saved& saved, int64_t chunk) {
  for (size_t i = 0; i < saved.size(); ++i) session_->device().upload(run_->state()[i].second.data(), saved[i].data(), saved[i].size() * sizeof(float));
  run_->state_changed();
  at_ = chunk;
}

}  // namespace sixteen
