// What a run leaves on disk and takes up again: the checkpoint with averaged weights, and the resume state.
//
// Bites: everything in the state is stored by canonical tensor, so it does not depend on the flat layout.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

#include "formats/check.h"
#include "formats/error.h"
#include "formats/sha256.h"
#include "model/checkpoint.h"
#include "trainer/trainer.h"

namespace sixteen {
namespace {

ParamStore download(Device& device, const std::shared_ptr<const ParamTable>& table, const Buffer& buffer) {
  ParamStore store(table);
  device.download(store.flat.data(), buffer.data(), store.flat.size() * sizeof(float));
  return store;
}

}  // namespace

std::vector<std::string> Trainer::averages() const {
  std::vector<std::string> names = {"raw"};
  if (options_.train.optim.ema_decay > 0) names.emplace_back("ema");
  if (swa_.count() > 0) names.emplace_back("swa");
  return names;
}

std::string Trainer::selected() const {
  const std::string& select = options_.train.averaging.select;
  if (!best_on_val_.empty()) return best_on_val_;
  if (select == "swa" && swa_.count() > 0) return "swa";
  return select == "raw" || options_.train.optim.ema_decay == 0 ? "raw" : "ema";
}

ParamStore Trainer::weights_of(const std::string& average) const {
  if (average == "swa") return swa_.mean();
  return download(session_->device(), table_, average == "ema" ? optimizer_->ema() : session_->weights());
}

// The four flat vectors that a step depends on, by the prefix of their tensors' names; matrices have no second moment.
struct Trainer::StateTensors {
  explicit StateTensors(Trainer& t) {
    add("param/", t.session_->weights());
    add("moment1/", t.optimizer_->moment1());
    add("moment2/", t.optimizer_->moment2());
    if (t.options_.train.optim.ema_decay > 0) add("ema/", t.optimizer_->ema());
  }
  void add(const char* prefix, Buffer buffer) { parts.push_back({prefix, buffer}); }
  static bool stored(const std::string& prefix, const ParamSpec& spec) {
    return prefix != "moment2/" || spec.group != ParamGroup::kMatrix;
  }

  std::vector<std::pair<std::string, Buffer>> parts;
};

// Weights and averages are computed by every rank from the same sums; one that went astray (a card with a fault) would spoil the
// run silently.
void Trainer::check_ranks_agree() const {
  if (ranks().size() == 1) return;
  const Buffer weights = session_->weights();
  const std::vector<Sha256> leaves = session_->device().leaf_digests(weights.data(), weights.bytes());
  const std::vector<Sha256> all = ranks().gather(sha256(std::as_bytes(std::span(leaves))));
  for (size_t r = 1; r < all.size(); ++r) {
    if (all[r] == all[0]) continue;
    fail("step ", step_, ": the weights of rank ", r, " differ from rank 0's; the last checkpoint is untouched; look at that rank's card");
  }
}

std::map<std::string, std::string> Trainer::loader_states() const {
  constexpr size_t kLongest = 4096;
  const size_t streams = static_cast<size_t>(options_.train.virtual_ranks);
  std::vector<char> mine(streams * kLongest, 0), all(mine.size() * static_cast<size_t>(ranks().size()));
  for (size_t i = 0; i < loaders_.size(); ++i) {
    const std::string state = loaders_[i]->state();
    CHECK(!state.empty() && state.size() < kLongest);
    std::memcpy(&mine[(static_cast<size_t>(share_.streams.first) + i) * kLongest], state.data(), state.size());
  }
  ranks().all_gather_host(mine.data(), all.data(), mine.size());
  std::map<std::string, std::string> states;
  for (size_t at = 0; at < all.size(); at += kLongest) {  // ranks that share a stream say the same
    if (all[at] != 0) states["rank" + std::to_string(at / kLongest % streams)] = &all[at];
  }
  CHECK(states.size() == streams);
  return states;
}

void Trainer::save_state() {
  optimizer_->gather_state();
  const std::map<std::string, std::string> loaders = loader_states();
  if (!writes()) return;
  const StateTensors state(*this);
  std::vector<ParamStore> stores;
  std::vector<TensorView> tensors;
  for (const auto& [prefix, buffer] : state.parts) stores.push_back(download(session_->device(), table_, buffer));
  for (size_t i = 0; i < stores.size(); ++i) {
    for (const ParamSpec& spec : table_->specs()) {
      if (!StateTensors::stored(state.parts[i].first, spec)) continue;
      const std::span<const float> values = std::as_const(stores[i]).tensor(spec.name);
      tensors.push_back(
          {.name = state.parts[i].first + spec.name, .shape = dims(spec.shape), .bytes = std::as_bytes(values)});
    }
  }
  TrainProgress progress;
  if (fake_quant_) progress.trainer["fake_quant"] = "on";
  if (swa_.count() > 0) {
    progress.trainer["swa_snapshots"] = std::to_string(swa_.count());
    for (const ParamSpec& spec : table_->specs()) {
      const std::span<const double> sum = swa_.sum(spec);
      tensors.push_back(
          {.name = "swa/" + spec.name, .dtype = DType::kF64, .shape = dims(spec.shape), .bytes = std::as_bytes(sum)});
    }
  }
  progress.step = step_;
  progress.elapsed_ms = train_seconds_ * 1000;
  progress.config_hash = config_hash(options_.model, options_.train);
  progress.loader = loaders;
  write_train_state(state_path(), progress, tensors);
}

void Trainer::save() {
  check_ranks_agree();
  for (const std::string& average : {std::string("raw"), selected()}) {
    const ParamStore store = weights_of(average);
    if (!std::all_of(store.flat.begin(), store.flat.end(), [](float x) { return std::isfinite(x); })) {
      fail("step ", step_,
           ": weights are not finite: the run diverged and was stopped; the last checkpoint is untouched");
    }
  }
  write_checkpoint();
  save_state();
}

void Trainer::write_checkpoint() const {
  if (!writes()) return;
  std::map<std::string, std::string> metadata = {{"step", std::to_string(step_)},
                                                 {"producer", std::string("sixteen-train ") + SIXTEEN_VERSION},
                                                 {"weights", selected()}};
  if (!best_on_val_.empty()) metadata["weights_chosen_by"] = "validation data";
  save_checkpoint(options_.out, options_.model, weights_of(selected()), metadata);
}

void Trainer::restore_averages(const TrainStateFile& file) {
  const auto& trainer = file.progress().trainer;
  if (trainer.contains("fake_quant")) set_fake_quant();
  const auto snapshots = trainer.find("swa_snapshots");
  if (snapshots == trainer.end()) return;
  int64_t count = 0;
  const std::string& text = snapshots->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count < 1) {
    fail(file.path(), ": metadata trainer.swa_snapshots: expected 1 or more, found \"", text, "\"");
  }
  for (const ParamSpec& spec : table_->specs()) {
    const TensorView& tensor = file.at("swa/" + spec.name, DType::kF64, dims(spec.shape));
    std::memcpy(swa_.sum(spec).data(), tensor.bytes.data(), tensor.bytes.size());
  }
  swa_.set_count(count);
}

void Trainer::restore_state() {
  const TrainStateFile file(state_path());
  file.check_config(config_hash(options_.model, options_.train));
  const TrainProgress& progress = file.progress();
  for (const auto& [prefix, buffer] : StateTensors(*this).parts) {
    ParamStore store(table_);
    for (const ParamSpec& spec : table_->specs()) {
      if (!StateTensors::stored(prefix, spec)) continue;
      copy_as_float(file.at(prefix + spec.name, DType::kF32, dims(spec.shape)), store.tensor(spec.name));
    }
    session_->device().upload(buffer.data(), store.flat.data(), store.flat.size() * sizeof(float));
  }
  session_->refresh_bf16();
  for (size_t i = 0; i < loaders_.size(); ++i) {
    const std::string name = "rank" + std::to_string(share_.streams.first + static_cast<int64_t>(i));
    const auto found = progress.loader.find(name);
    if (found == progress.loader.end()) fail(state_path(), ": no loader state of ", name, "; it is of another run");
    loaders_[i]->restore(found->second);
  }
  restore_averages(file);
  step_ = progress.step;
  train_seconds_ = progress.elapsed_ms / 1000;
  optimizer_->set_steps_done(step_);
  log_->event(step_, "resumed after " + format_duration(train_seconds_) + " of training");
}

}  // namespace sixteen
