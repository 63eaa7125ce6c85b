// See optim_ranks.h.
#include "model/optim_ranks.h"

#include <algorithm>
#include <string>

#include "formats/check.h"
#include "formats/dtype.h"

namespace sixteen {

struct RankedStep::Bank {
  OptimRun run;
  int64_t share = 0;            // matrices of a rank, padding included
  int64_t first = 0, mine = 0;  // this rank's real ones
  std::string name;
  // [ranks, share] -> [share] gradients; [share] -> [ranks, share] updates. *_fp32 where the wire is bf16: what kernels take.
  Buffer packed, own, own_fp32, update, updates, updates_fp32;
  std::unique_ptr<StepProgram> step;
  Ticket in = 0, out = 0;

  int64_t share_count() const { return share * run.matrix(); }
  Shape mine_shape() const { return {mine, run.rows, run.cols}; }
};

namespace {

DType wire_type(Session& session, bool rounded) {
  return rounded && session.device().activations() == DType::kBF16 ? DType::kBF16 : DType::kF32;
}

}  // namespace

RankedStep::RankedStep(Session* session, const OptimConfig& config, const Bindings& bindings, bool measure_norm)
    : session_(session),
      ranks_(session->device().ranks()),
      config_(config),
      bindings_(bindings),
      runs_(optim_runs(session->table())),
      rest_(ranges_beside_banks(runs_, session->table().flat_size())),
      gradient_wire_(wire_type(*session, config.momentum_bf16)),
      update_wire_(wire_type(*session, config.muon_bf16)) {
  for (const OptimRun& run : runs_) {
    if (run.bank()) add_bank(run);
    norm_parts_ += run.bank() ? run.n : 0;
  }
  norm_parts_ = measure_norm ? norm_parts_ + static_cast<int64_t>(rest_.size()) : 0;
  build_pack();
  if (measure_norm) build_norm();
  for (Bank& bank : banks_) {
    if (bank.mine > 0) build_bank(&bank);
  }
  build_rest();
}

RankedStep::~RankedStep() = default;

void RankedStep::add_bank(const OptimRun& run) {
  const int64_t ranks = ranks_.size();
  Bank bank;
  bank.run = run;
  bank.share = (run.n + ranks - 1) / ranks;
  bank.first = std::min(run.n, bank.share * ranks_.rank());
  bank.mine = std::min(run.n - bank.first, bank.share);
  bank.name = "bank" + std::to_string(banks_.size()) + ".";
  const auto allocate = [&](const char* name, int64_t count, DType dtype) {
    const Buffer buffer = session_->device().allocate(static_cast<size_t>(count) * dtype_bytes(dtype));
    bindings_.emplace_back(bank.name + name, buffer);
    return buffer;
  };
  bank.packed = allocate("packed", ranks * bank.share_count(), gradient_wire_);
  bank.own = allocate("own", bank.share_count(), gradient_wire_);
  bank.update = allocate("update", bank.share_count(), update_wire_);
  bank.updates = allocate("updates", ranks * bank.share_count(), update_wire_);
  if (gradient_wire_ != DType::kF32) bank.own_fp32 = allocate("own_fp32", bank.share_count(), DType::kF32);
  if (update_wire_ != DType::kF32) bank.updates_fp32 = allocate("updates_fp32", run.count, DType::kF32);
  banks_.push_back(std::move(bank));
}

std::unique_ptr<StepProgram> RankedStep::compile(OptimGraph* graph, ValueId norm) {
  return std::make_unique<StepProgram>(&session_->device(), graph->finish(), norm, bindings_);
}

// The banks' gradients as they go over the wire; the padding of `packed` stays 0.
void RankedStep::build_pack() {
  OptimGraph g(config_, session_->table().flat_size());
  Builder& b = g.builder();
  for (const Bank& bank : banks_) {
    const ValueId packed = g.state(bank.name + "packed", {ranks_.size() * bank.share_count()}, gradient_wire_);
    b.cast(b.view(packed, 0, {bank.run.count}), b.view(g.flat("grads"), bank.run.begin, {bank.run.count}));
  }
  pack_ = compile(&g);
}

// Squares of what each rank alone has, zeros for the others' (their sum is exact); then the coefficient from all of them.
void RankedStep::build_norm() {
  sums_ = session_->device().allocate(static_cast<size_t>(norm_parts_) * sizeof(float));
  bindings_.emplace_back("sums", sums_);
  OptimGraph g(config_, session_->table().flat_size());
  Builder& b = g.builder();
  g.clear_square_sums(norm_parts_);
  int64_t index = 0;
  for (const Bank& bank : banks_) {
    if (bank.mine > 0) {
      ValueId own = g.state(bank.name + "own", {bank.share_count()}, gradient_wire_);
      if (gradient_wire_ != DType::kF32) {
        const ValueId wide = g.state(bank.name + "own_fp32", {bank.share_count()});
        b.cast(wide, own);
        own = wide;
      }
      for (int64_t i = 0; i < bank.mine; ++i) {
        g.add_square_sum(index + bank.first + i, norm_parts_, b.view(own, i * bank.run.matrix(), {bank.run.matrix()}));
      }
    }
    index += bank.run.n;
  }
  for (const FlatRange& range : rest_) {
    if (ranks_.rank() == 0) g.add_square_sum(index, norm_parts_, b.view(g.flat("grads"), range.begin, {range.count}));
    ++index;
  }
  square_ = compile(&g);
  OptimGraph clip(config_, session_->table().flat_size());
  const ValueId norm = clip.clip(norm_parts_);
  clip_ = compile(&clip, norm);
}

void RankedStep::build_bank(Bank* bank) {
  OptimGraph g(config_, session_->table().flat_size());
  Builder& b = g.builder();
  const int64_t mine = bank->mine * bank->run.matrix();
  ValueId own = g.state(bank->name + "own", {bank->share_count()}, gradient_wire_);
  if (gradient_wire_ != DType::kF32) {
    const ValueId wide = g.state(bank->name + "own_fp32", {bank->share_count()});
    b.cast(wide, own);
    own = wide;
  }
  const ValueId momentum = b.view(g.flat("moment1"), bank->run.begin + bank->first * bank->run.matrix(), bank->mine_shape());
  const ValueId update = g.muon_update(bank->run, b.view(own, 0, bank->mine_shape()), momentum);
  b.cast(b.view(g.state(bank->name + "update", {bank->share_count()}, update_wire_), 0, {mine}), update);
  bank->step = compile(&g);
}

// What all ranks do alike: before the last bank's updates arrive, and after.
void RankedStep::build_rest() {
  OptimGraph rest(config_, session_->table().flat_size()), apply(config_, session_->table().flat_size());
  for (const OptimRun& run : runs_) {
    if (run.bank() || run.group == ParamGroup::kFixed) continue;
    run.group == ParamGroup::kMatrix ? rest.muon(run) : rest.adamw(run);
  }
  Builder& b = apply.builder();
  for (const Bank& bank : banks_) {
    const Shape all{bank.run.n, bank.run.rows, bank.run.cols};
    ValueId updates = b.view(apply.state(bank.name + "updates", {ranks_.size() * bank.share_count()}, update_wire_), 0, all);
    if (update_wire_ != DType::kF32) {
      const ValueId wide = apply.state(bank.name + "updates_fp32", all);
      b.cast(wide, updates);
      updates = wide;
    }
    apply.muon_apply(bank.run, updates);
  }
  apply.follow_weights(session_->weights_bf16().data() != nullptr);
  rest_step_ = compile(&rest);
  apply_ = compile(&apply);
}

void RankedStep::sum_norms() {
  square_->enqueue();
  if (!mute_) ranks_.wait(ranks_.all_reduce(sums_.data(), norm_parts_, DType::kF32));
  clip_->enqueue();
}

void RankedStep::run() {
  pack_->enqueue();
  std::vector<Ticket> rest;
  for (Bank& bank : banks_) {
    if (!mute_) bank.in = ranks_.reduce_scatter(bank.packed.data(), bank.own.data(), bank.share_count(), gradient_wire_);
  }
  float* grads = reinterpret_cast<float*>(session_->grads().data());
  for (const FlatRange& range : rest_) {
    if (!mute_) rest.push_back(ranks_.all_reduce(grads + range.begin, range.count, DType::kF32));
  }
  const bool all_first = norm_parts_ > 0;  // the clip needs everything before anything can move
  if (all_first) {
    for (const Bank& bank : banks_) {
      if (!mute_) ranks_.wait(bank.in);
    }
    for (const Ticket ticket : rest) ranks_.wait(ticket);
    sum_norms();
  }
  for (Bank& bank : banks_) {
    if (!mute_ && !all_first) ranks_.wait(bank.in);
    if (bank.step != nullptr) bank.step->enqueue();
    if (!mute_) bank.out = ranks_.all_gather(bank.update.data(), bank.updates.data(), bank.share_count(), update_wire_);
  }
  if (!all_first) {
    for (const Ticket ticket : rest) ranks_.wait(ticket);
  }
  rest_step_->enqueue();
  for (const Bank& bank : banks_) {
    if (!mute_) ranks_.wait(bank.out);
  }
  apply_->enqueue();
}

double RankedStep::norm() { return clip_ != nullptr ? clip_->norm() : 0; }

void RankedStep::gather_momentum(Buffer moment1) {
  Device& device = session_->device();
  for (const Bank& bank : banks_) {
    const size_t bytes = static_cast<size_t>(bank.share_count()) * sizeof(float);
    std::vector<std::byte> mine(bytes), all(bytes * static_cast<size_t>(ranks_.size()));
    std::byte* momentum = moment1.data() + static_cast<size_t>(bank.run.begin) * sizeof(float);
    const size_t matrix = static_cast<size_t>(bank.run.matrix()) * sizeof(float);
    device.download(mine.data(), momentum + static_cast<size_t>(bank.first) * matrix, static_cast<size_t>(bank.mine) * matrix);
    ranks_.all_gather_host(mine.data(), all.data(), bytes);
    device.upload(momentum, all.data(), static_cast<size_t>(bank.run.n) * matrix);
  }
}

int64_t RankedStep::wire_bytes() const {
  const double others = static_cast<double>(ranks_.size() - 1) / ranks_.size();
  double bytes = 0;
  for (const Bank& bank : banks_) {
    const double padded = static_cast<double>(ranks_.size() * bank.share_count());
    bytes += others * padded * static_cast<double>(dtype_bytes(gradient_wire_) + dtype_bytes(update_wire_));
  }
  for (const FlatRange& range : rest_) bytes += 2 * others * static_cast<double>(range.count) * sizeof(float);
  return static_cast<int64_t>(bytes);
}

std::vector<OpTime> RankedStep::profile(const MachineRates& rates) {
  std::vector<OpTime> times = pack_->profile(rates);
  for (StepProgram* program : {square_.get(), clip_.get(), rest_step_.get(), apply_.get()}) {
    if (program != nullptr) add_op_times(&times, program->profile(rates));
  }
  for (const Bank& bank : banks_) {
    if (bank.step != nullptr) add_op_times(&times, bank.step->profile(rates));
  }
  return times;
}

}  // namespace sixteen
