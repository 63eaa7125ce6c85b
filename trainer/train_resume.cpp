// What a run leaves on disk and takes up again: the checkpoint with averaged weights, and the resume state.
//
// Bites: everything in the state is stored by canonical tensor, so it does not depend on the flat layout.
#include <algorithm>
#include <cmath>
#include <utility>

#include "formats/error.h"
#include "formats/train_state.h"
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

ParamStore Trainer::averaged() const {
  const bool averages = options_.train.optim.ema_decay > 0;
  return download(session_->device(), table_, averages ? optimizer_->ema() : session_->weights());
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

void Trainer::save_state() {
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
  progress.step = step_;
  progress.elapsed_ms = train_seconds_ * 1000;
  progress.config_hash = config_hash(options_.model, options_.train);
  for (size_t i = 0; i < loaders_.size(); ++i) progress.loader["rank" + std::to_string(i)] = loaders_[i]->state();
  write_train_state(state_path(), progress, tensors);
}

void Trainer::save() {
  for (const ParamStore& store : {download(session_->device(), table_, session_->weights()), averaged()}) {
    if (!std::all_of(store.flat.begin(), store.flat.end(), [](float x) { return std::isfinite(x); })) {
      fail("step ", step_,
           ": weights are not finite: the run diverged and was stopped; the last checkpoint is untouched");
    }
  }
  save_checkpoint(options_.out, options_.model, averaged(),
                  {{"step", std::to_string(step_)}, {"producer", std::string("sixteen-train ") + SIXTEEN_VERSION}});
  save_state();
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
  for (size_t i = 0; i < loaders_.size(); ++i) {
    const auto found = progress.loader.find("rank" + std::to_string(i));
    if (found == progress.loader.end()) fail(state_path(), ": no loader state of rank ", i, "; it is of another run");
    loaders_[i]->restore(found->second);
  }
  step_ = progress.step;
  train_seconds_ = progress.elapsed_ms / 1000;
  optimizer_->set_steps_done(step_);
  log_->event(step_, "resumed after " + format_duration(train_seconds_) + " of training");
}

}  // namespace sixteen
