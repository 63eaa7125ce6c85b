// Programs (graph, plan, executor, input buffers) by mode and shape, over one arena.
//
// Bites: when a larger program comes, the arena is replaced and every executor compiled again at its next use; reserve()
// makes the largest one first.
#include "model/session.h"

#include <algorithm>
#include <sstream>

#include "formats/check.h"
#include "formats/dtype.h"
#include "formats/error.h"
#include "graph/builder.h"
#include "graph/plan.h"

namespace sixteen {

struct Session::Program {
  ModelGraph model;
  Plan plan;
  std::unique_ptr<Executor> executor;  // null until compiled over the present arena
  std::map<std::string, Buffer> inputs;
};

namespace {

std::string program_key(const BuildOptions& o) {
  std::ostringstream key;
  key << static_cast<int>(o.mode) << ' ' << o.windows << ' ' << o.seq << ' ' << o.tail << ' ' << o.looping << ' '
      << o.logits_bf16 << ' ' << o.hash.buckets << ' ' << o.hash.multiplier << ' ' << o.hash.before_norm << ' '
      << o.hash.own_previous << ' ' << static_cast<int>(o.fake_quant.scope) << ' ' << o.fake_quant.low << ' ' << o.cache_rows << ' '
      << o.lead;
  return key.str();
}

int64_t value_bytes(const Value& value) { return value.shape.numel() * static_cast<int64_t>(dtype_bytes(value.dtype)); }

void check_ids(std::span<const int32_t> ids, int64_t count, int64_t vocab) {
  CHECK(static_cast<int64_t>(ids.size()) == count);
  uint32_t largest = 0;  // a negative id is a large one
  for (const int32_t id : ids) largest = std::max(largest, static_cast<uint32_t>(id));
  CHECK(largest < vocab);
}

template <class T>
void upload(Device& device, const Buffer& to, std::span<const T> from) {
  CHECK(to.bytes() >= from.size_bytes());
  device.upload(to.data(), from.data(), from.size_bytes());
}

}  // namespace

Session::Session(std::shared_ptr<Device> device, const ModelConfig& config, std::shared_ptr<const ParamTable> table,
                 std::optional<DType> activations)
    : device_(std::move(device)),
      config_(config),
      table_(std::move(table)),
      activations_(activations.value_or(device_->activations())) {
  const int64_t size = table_->flat_size();
  weights_ = device_->allocate(size * sizeof(float));
  if (activations_ == DType::kBF16) weights_bf16_ = device_->allocate(size * dtype_bytes(DType::kBF16));
}

Session::~Session() = default;

Buffer Session::grads() {
  if (grads_.data() == nullptr) grads_ = device_->allocate(table_->flat_size() * sizeof(float));
  return grads_;
}

void Session::set_weights(const ParamStore& store) {
  CHECK(static_cast<int64_t>(store.flat.size()) == table_->flat_size());
  upload<float>(*device_, weights_, store.flat);
  refresh_bf16();
}

void Session::refresh_bf16() {
  if (weights_bf16_.data() == nullptr) return;
  std::unique_ptr<Program>& slot = programs_["bf16 copy"];
  if (slot == nullptr) {
    slot = std::make_unique<Program>();
    Builder b;
    const Shape flat{table_->flat_size()};
    b.cast(b.state("weights.bf16", flat, DType::kBF16), b.weight("weights", flat));
    slot->model.graph = b.finish();
    slot->plan = plan_memory(slot->model.graph);
  }
  compile(slot.get());
  slot->executor->run();
}

void Session::get_weights(ParamStore* store) {
  CHECK(static_cast<int64_t>(store->flat.size()) == table_->flat_size());
  device_->download(store->flat.data(), weights_.data(), store->flat.size() * sizeof(float));
}

void Session::zero_grads() {
  std::unique_ptr<Program>& slot = programs_[hash_grads_.data() == nullptr ? "zero" : "zero with hash"];
  if (slot == nullptr) {
    slot = std::make_unique<Program>();
    Builder b;
    b.fill(b.state("grads", {table_->flat_size()}), 0);
    if (hash_grads_.data() != nullptr) b.fill(b.state("grad.hash_emb.weight", {hash_.buckets, config_.dim}), 0);
    slot->model.graph = b.finish();
    slot->plan = plan_memory(slot->model.graph);
  }
  compile(slot.get());
  slot->executor->run();
}

void Session::enable_hash(const HashEmbedConfig& hash) {
  hash_ = hash;
  hash_table_ = device_->allocate(hash.buckets * config_.dim * sizeof(float));
  hash_grads_ = device_->allocate(hash.buckets * config_.dim * sizeof(float));
  programs_.clear();
}

Session::Program& Session::planned(const BuildOptions& options) {
  std::unique_ptr<Program>& slot = programs_[program_key(options)];
  if (slot == nullptr) {
    slot = std::make_unique<Program>();
    BuildOptions typed = options;
    typed.dtype = activations_;
    slot->model = build_model(config_, *table_, typed);
    slot->plan = plan_memory(slot->model.graph);
  }
  return *slot;
}

Session::Program& Session::program(const BuildOptions& options) {
  Program& result = planned(options);
  if (result.inputs.empty()) {
    for (const Value& value : result.model.graph.values()) {
      if (value.kind == ValueKind::kInput) result.inputs[value.name] = device_->allocate(static_cast<size_t>(value_bytes(value)));
    }
    std::vector<float> cos, sin;
    if (options.cache_rows == 0) {
      rope_tables(config_.rope, options.seq, &cos, &sin);
      upload<float>(*device_, result.inputs.at("rope.cos"), cos);
      upload<float>(*device_, result.inputs.at("rope.sin"), sin);
    }
  }
  compile(&result);
  return result;
}

void Session::reserve(const std::vector<BuildOptions>& options, const std::string& advice) {
  const std::optional<DeviceMemory> memory = device_->memory();
  if (!memory) return;
  const int64_t present = static_cast<int64_t>(arena_.bytes());
  int64_t arena = present, beside = 0;
  const auto check = [&] {
    const int64_t needed = arena - present + beside;
    if (needed <= memory->free) return;
    fail(device_->name(), ": too little memory: at least ", needed, " bytes more are needed for activations and scratch, ", memory->free,
         " of ", memory->total, " are free; ", advice);
  };
  for (const BuildOptions& o : options) arena = std::max(arena, planned(o).plan.arena_bytes);
  check();  // before scratch is counted: kernels have limits of their own far beyond any memory
  for (const BuildOptions& o : options) {
    const Program& p = planned(o);
    if (p.executor != nullptr) continue;
    beside += device_->scratch_bytes(p.model.graph, p.plan);
    for (const Value& value : p.model.graph.values()) beside += value.kind == ValueKind::kInput ? value_bytes(value) : 0;
  }
  check();
  if (arena > present) grow_arena(arena);
}

// Never two arenas: whoever ran over the old one is compiled again at its next use.
void Session::grow_arena(int64_t bytes) {
  for (auto& [key, program] : programs_) program->executor.reset();
  arena_ = Buffer();
  arena_ = device_->allocate(static_cast<size_t>(bytes));
}

void Session::compile(Program* program) {
  if (program->plan.arena_bytes > static_cast<int64_t>(arena_.bytes())) grow_arena(program->plan.arena_bytes);
  if (program->executor != nullptr) return;
  const Graph& graph = program->model.graph;
  program->executor = device_->compile(graph, program->plan, arena_);
  const auto bind = [&](const std::string& name, const Buffer& buffer) {
    if (graph.has(name)) program->executor->bind(graph.find(name), buffer.data());
  };
  for (const auto& [name, buffer] : program->inputs) bind(name, buffer);
  bind("weights", weights_);
  bind("weights.bf16", weights_bf16_);
  if (graph.has("grads")) bind("grads", grads());
  bind("hash_emb.weight", hash_table_);
  bind("grad.hash_emb.weight", hash_grads_);
}

Pass& Session::begin_pass() {
  CHECK(in_flight_ < kPasses);
  return passes_[next_pass_++ % kPasses];
}

Pass& Session::oldest_pass() {
  CHECK(in_flight_ > 0);
  return passes_[(next_pass_ - in_flight_--) % kPasses];
}

void Session::submit_train(std::span<const int32_t> ids, std::span<const int32_t> targets, std::span<const float> row_weight,
                           int64_t windows, int64_t seq, bool looping) {
  const int64_t rows = windows * seq;
  check_ids(ids, rows, config_.vocab);
  check_ids(targets, rows, config_.vocab);
  CHECK(static_cast<int64_t>(row_weight.size()) == rows);
  Program& p = program(train_options(windows, seq, looping));
  Pass& pass = begin_pass();
  pass.put(*device_, Pass::kIds, ids, p.inputs.at("ids"));
  pass.put(*device_, Pass::kTargets, targets, p.inputs.at("targets"));
  pass.put(*device_, Pass::kRowWeight, row_weight, p.inputs.at("row_weight"));
  p.executor->run();
  pass.fetch(*device_, p.executor->data(p.model.nll), rows);
  ++in_flight_;
}

double Session::collect_loss() { return oldest_pass().weighted_loss(); }

double Session::train(std::span<const int32_t> ids, std::span<const int32_t> targets, std::span<const float> row_weight,
                      int64_t windows, int64_t seq, bool looping) {
  CHECK(in_flight_ == 0);
  submit_train(ids, targets, row_weight, windows, seq, looping);
  return collect_loss();
}

void Session::submit_score(std::span<const int32_t> ids, std::span<const int32_t> targets, int64_t windows, int64_t seq,
                           int64_t tail, bool logits_bf16, bool looping) {
  check_ids(ids, windows * seq, config_.vocab);
  check_ids(targets, windows * tail, config_.vocab);
  Program& p = program(score_options(windows, seq, tail, logits_bf16, looping));
  Pass& pass = begin_pass();
  pass.put(*device_, Pass::kIds, ids, p.inputs.at("ids"));
  pass.put(*device_, Pass::kTargets, targets, p.inputs.at("targets"));
  p.executor->run();
  pass.fetch(*device_, p.executor->data(p.model.nll), windows * tail);
  ++in_flight_;
}

void Session::submit_hints(std::span<const int32_t> ids, std::span<const int32_t> targets, std::span<const int32_t> hints,
                           int64_t windows, int64_t seq, int64_t tail, bool logits_bf16) {
  check_ids(ids, windows * seq, config_.vocab);
  check_ids(targets, windows * tail, config_.vocab);
  CHECK(hints.size() == targets.size());
  Program& p = program({.mode = Mode::kHints, .windows = windows, .seq = seq, .tail = tail, .hash = hash_, .logits_bf16 = logits_bf16});
  Pass& pass = begin_pass();
  pass.put(*device_, Pass::kIds, ids, p.inputs.at("ids"));
  pass.put(*device_, Pass::kTargets, targets, p.inputs.at("targets"));
  pass.put(*device_, Pass::kHints, hints, p.inputs.at("hints"));
  p.executor->run();
  pass.fetch(*device_, p.executor->data(p.model.nll), windows * tail * 4);
  ++in_flight_;
}

std::span<const HintStats> Session::collect_hints() {
  const std::span<const float> rows = oldest_pass().nll();
  static_assert(sizeof(HintStats) == 4 * sizeof(float));
  return {reinterpret_cast<const HintStats*>(rows.data()), rows.size() / 4};
}

std::span<const float> Session::collect_nll() { return oldest_pass().nll(); }

void Session::score(std::span<const int32_t> ids, std::span<const int32_t> targets, int64_t windows, int64_t seq,
                    int64_t tail, std::span<float> nll, bool logits_bf16, bool looping) {
  CHECK(in_flight_ == 0 && static_cast<int64_t>(nll.size()) == windows * tail);
  submit_score(ids, targets, windows, seq, tail, logits_bf16, looping);
  std::ranges::copy(collect_nll(), nll.begin());
}

void Session::download_logits(const Program& p, std::span<float> out) {
  device_->download(out.data(), p.executor->data(p.model.logits), out.size_bytes());
}

void Session::logits(std::span<const int32_t> ids, int64_t windows, int64_t seq, int64_t tail, std::span<float> out) {
  check_ids(ids, windows * seq, config_.vocab);
  CHECK(static_cast<int64_t>(out.size()) == windows * tail * config_.vocab);
  Program& p = program({.mode = Mode::kLogits, .windows = windows, .seq = seq, .tail = tail, .hash = hash_});
  upload(*device_, p.inputs.at("ids"), ids);
  p.executor->run();
  download_logits(p, out);
}

bool Session::extends() const {
  const size_t row = static_cast<size_t>(config_.kv_heads * config_.head_dim()) * dtype_bytes(activations_);
  return row % 16 == 0 || device_->portable_arithmetic();  // other devices read 16 bytes at a time
}

void Session::extend(GrowingWindow* window, std::span<const int32_t> ids, std::span<float> out) {
  const int64_t before = static_cast<int64_t>(window->ids.size()), fresh = static_cast<int64_t>(ids.size());
  CHECK(extends() && fresh > 0 && before + fresh <= window->length);
  CHECK(static_cast<int64_t>(out.size()) == config_.vocab);
  check_ids(ids, fresh, config_.vocab);
  if (window->cos.empty()) rope_tables(config_.rope, window->length, &window->cos, &window->sin);
  window->ids.insert(window->ids.end(), ids.begin(), ids.end());
  const int64_t lead = std::min<int64_t>(before, 2), half = config_.rope.dims / 2;
  Program& p = program({.mode = Mode::kLogits, .windows = 1, .seq = fresh, .tail = 1, .hash = hash_, .cache_rows = window->length,
                        .lead = lead});
  bind_kept(&p, window);
  const auto rows = [&](const std::vector<float>& table) { return std::span(table).subspan(before * half, fresh * half); };
  const int32_t keys = static_cast<int32_t>(before + fresh);
  upload(*device_, p.inputs.at("ids"), std::span<const int32_t>(window->ids).subspan(before - lead));
  upload(*device_, p.inputs.at("keys"), std::span(&keys, 1));
  upload(*device_, p.inputs.at("rope.cos"), rows(window->cos));
  upload(*device_, p.inputs.at("rope.sin"), rows(window->sin));
  p.executor->run();
  download_logits(p, out);
}

void Session::bind_kept(Program* program, GrowingWindow* window) {
  const std::string fresh = ".new";
  const Graph& graph = program->model.graph;
  for (size_t i = 0; i < graph.values().size(); ++i) {
    const Value& value = graph.values()[i];
    if (value.kind != ValueKind::kState) continue;
    const bool part = value.name.ends_with(fresh);
    Buffer& kept = window->kept[part ? value.name.substr(0, value.name.size() - fresh.size()) : value.name];
    const int64_t row_bytes = value.shape[1] * static_cast<int64_t>(dtype_bytes(value.dtype));
    if (kept.data() == nullptr) kept = device_->allocate(static_cast<size_t>(window->length * row_bytes));
    const int64_t first = part ? static_cast<int64_t>(window->ids.size()) - value.shape[0] : 0;
    program->executor->bind(static_cast<ValueId>(i), kept.data() + first * row_bytes);
  }
}

void Session::calibrate(std::span<const int32_t> ids, int64_t windows, int64_t seq, bool looping,
                        std::map<std::string, Buffer>* hessians) {
  check_ids(ids, windows * seq, config_.vocab);
  Program& p = program({.mode = Mode::kCalib, .windows = windows, .seq = seq, .looping = looping, .hash = hash_});
  const std::string prefix = "hessian.";
  const Graph& graph = p.model.graph;
  for (size_t i = 0; i < graph.values().size(); ++i) {
    const Value& value = graph.values()[i];
    if (value.kind != ValueKind::kState || value.name.rfind(prefix, 0) != 0) continue;
    Buffer& hessian = (*hessians)[value.name.substr(prefix.size())];
    if (hessian.data() == nullptr) hessian = device_->allocate(value.shape.numel() * sizeof(float));
    p.executor->bind(static_cast<ValueId>(i), hessian.data());
  }
  CHECK(in_flight_ == 0);
  begin_pass().put(*device_, Pass::kIds, ids, p.inputs.at("ids"));
  p.executor->run();
}

BuildOptions Session::train_options(int64_t windows, int64_t seq, bool looping) const {
  return {.mode = Mode::kTrain, .windows = windows, .seq = seq, .looping = looping, .hash = hash_, .fake_quant = fake_quant_};
}

BuildOptions Session::score_options(int64_t windows, int64_t seq, int64_t tail, bool logits_bf16, bool looping) const {
  return {.mode = Mode::kScore,
          .windows = windows,
          .seq = seq,
          .tail = tail,
          .looping = looping,
          .hash = hash_,
          .logits_bf16 = logits_bf16};
}

// uncounted: begin
std::vector<OpTime> Session::profile(const BuildOptions& options, const MachineRates& rates) {
  Program& p = program(options);
  return measure_op_times(p.model.graph, p.executor.get(), rates);
}
// uncounted: end

int64_t Session::arena_bytes() const { return static_cast<int64_t>(arena_.bytes()); }

}  // namespace sixteen
