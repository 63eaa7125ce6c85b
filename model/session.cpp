// Programs (graph, plan, executor, input buffers) by mode and shape, over one arena.
//
// Bites: when a larger program comes, the arena is replaced and every executor compiled again at its next use, so that
// never two arenas exist.
#include "model/session.h"

#include <sstream>

#include "formats/check.h"
#include "formats/dtype.h"
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
      << o.hash.own_previous << ' ' << static_cast<int>(o.fake_quant.scope) << ' ' << o.fake_quant.low;
  return key.str();
}

void check_ids(std::span<const int32_t> ids, int64_t count, int64_t vocab) {
  CHECK(static_cast<int64_t>(ids.size()) == count);
  for (const int32_t id : ids) CHECK(id >= 0 && id < vocab);
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

Session::Program& Session::program(const BuildOptions& options) {
  std::unique_ptr<Program>& slot = programs_[program_key(options)];
  if (slot == nullptr) {
    slot = std::make_unique<Program>();
    BuildOptions typed = options;
    typed.dtype = activations_;
    slot->model = build_model(config_, *table_, typed);
    slot->plan = plan_memory(slot->model.graph);
    std::vector<float> cos, sin;
    rope_tables(config_.rope, options.seq, &cos, &sin);
    for (const Value& value : slot->model.graph.values()) {
      if (value.kind != ValueKind::kInput) continue;
      slot->inputs[value.name] = device_->allocate(value.shape.numel() * dtype_bytes(value.dtype));
    }
    upload<float>(*device_, slot->inputs.at("rope.cos"), cos);
    upload<float>(*device_, slot->inputs.at("rope.sin"), sin);
  }
  compile(slot.get());
  return *slot;
}

void Session::compile(Program* program) {
  if (program->plan.arena_bytes > static_cast<int64_t>(arena_.bytes())) {
    for (auto& [key, other] : programs_) other->executor.reset();
    arena_ = Buffer();
    arena_ = device_->allocate(program->plan.arena_bytes);
  }
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

double Session::train(std::span<const int32_t> ids, std::span<const int32_t> targets, std::span<const float> row_weight,
                      int64_t windows, int64_t seq, bool looping) {
  const int64_t rows = windows * seq;
  check_ids(ids, rows, config_.vocab);
  check_ids(targets, rows, config_.vocab);
  CHECK(static_cast<int64_t>(row_weight.size()) == rows);
  Program& p = program({.mode = Mode::kTrain, .windows = windows, .seq = seq, .looping = looping, .hash = hash_, .fake_quant = fake_quant_});
  upload(*device_, p.inputs.at("ids"), ids);
  upload(*device_, p.inputs.at("targets"), targets);
  upload(*device_, p.inputs.at("row_weight"), row_weight);
  p.executor->run();
  std::vector<float> nll(rows);
  device_->download(nll.data(), p.executor->data(p.model.nll), rows * sizeof(float));
  double sum = 0;
  for (int64_t i = 0; i < rows; ++i) sum += static_cast<double>(row_weight[i]) * nll[i];
  return sum;
}

void Session::score(std::span<const int32_t> ids, std::span<const int32_t> targets, int64_t windows, int64_t seq,
                    int64_t tail, std::span<float> nll, bool logits_bf16, bool looping) {
  check_ids(ids, windows * seq, config_.vocab);
  check_ids(targets, windows * tail, config_.vocab);
  CHECK(static_cast<int64_t>(nll.size()) == windows * tail);
  Program& p = program({.mode = Mode::kScore,
                        .windows = windows,
                        .seq = seq,
                        .tail = tail,
                        .looping = looping,
                        .hash = hash_,
                        .logits_bf16 = logits_bf16});
  upload(*device_, p.inputs.at("ids"), ids);
  upload(*device_, p.inputs.at("targets"), targets);
  p.executor->run();
  device_->download(nll.data(), p.executor->data(p.model.nll), nll.size_bytes());
}

void Session::logits(std::span<const int32_t> ids, int64_t windows, int64_t seq, int64_t tail, std::span<float> out) {
  check_ids(ids, windows * seq, config_.vocab);
  CHECK(static_cast<int64_t>(out.size()) == windows * tail * config_.vocab);
  Program& p = program({.mode = Mode::kLogits, .windows = windows, .seq = seq, .tail = tail, .hash = hash_});
  upload(*device_, p.inputs.at("ids"), ids);
  p.executor->run();
  if (activations_ == DType::kF32) {
    device_->download(out.data(), p.executor->data(p.model.logits), out.size_bytes());
    return;
  }
  std::vector<uint16_t> narrow(out.size());
  device_->download(narrow.data(), p.executor->data(p.model.logits), narrow.size() * sizeof(uint16_t));
  for (size_t i = 0; i < out.size(); ++i) out[i] = bf16_to_float(narrow[i]);
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
  upload(*device_, p.inputs.at("ids"), ids);
  p.executor->run();
}

int64_t Session::arena_bytes() const { return static_cast<int64_t>(arena_.bytes()); }

}  // namespace sixteen
