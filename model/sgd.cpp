// SGD of test-time training (optim.h) as one graph over the flat buffers and the hash table.
// Bites: alignment gaps are 0 in weights, gradients and state, so ranges may span them: 0 stays 0.
#include "model/optim.h"
#include "model/step_program.h"

namespace sixteen {
namespace {

bool is_frozen(const ParamSpec& spec, int64_t freeze_blocks) {
  if (spec.group != ParamGroup::kScalar) return false;
  for (int64_t i = 0; i < freeze_blocks; ++i) {
    if (spec.name.starts_with("blocks." + std::to_string(i) + ".")) return true;
  }
  return false;
}

// [begin, end) of the flat layout that SGD trains: everything, less the frozen tensors.
std::vector<std::pair<int64_t, int64_t>> trained_ranges(const ParamTable& table, int64_t freeze_blocks) {
  std::vector<std::pair<int64_t, int64_t>> ranges;
  bool open = false;
  for (const ParamSpec& spec : table.specs()) {
    const bool frozen = is_frozen(spec, freeze_blocks);
    if (!frozen && !open) ranges.emplace_back(spec.offset, 0);
    if (!frozen) ranges.back().second = spec.offset + spec.shape.numel();
    open = !frozen;
  }
  return ranges;
}

}  // namespace

struct Sgd::Impl {
  Impl(Session* session, const SgdConfig& config) {
    struct Part {
      ValueId weights, grads, buffer, lr;
    };
    const int64_t flat = session->table().flat_size();
    const HashEmbedConfig& hash = session->hash();
    Device& device = session->device();
    std::vector<std::pair<std::string, Buffer>> bindings = {{"grads", session->grads()},
                                                            {"weights", session->weights()},
                                                            {"buffer", momentum = device.allocate(flat * sizeof(float))}};
    Builder b;
    const ValueId scalars = b.input("scalars", {2});
    const ValueId lr = b.view(scalars, 0, {1}), hash_lr = b.view(scalars, 1, {1});
    const Part all{b.state("weights", {flat}), b.input("grads", {flat}), b.state("buffer", {flat}), lr};
    std::vector<Part> parts;
    for (const auto& [begin, end] : trained_ranges(session->table(), config.freeze_blocks)) {
      const Shape range{end - begin};
      parts.push_back(
          {b.view(all.weights, begin, range), b.view(all.grads, begin, range), b.view(all.buffer, begin, range), lr});
    }
    if (hash.buckets > 0) {
      const Shape shape{hash.buckets, session->config().dim};
      parts.push_back({b.state("hash", shape), b.input("hash.grads", shape), b.state("hash.buffer", shape), hash_lr});
      bindings.emplace_back("hash", session->hash_table());
      bindings.emplace_back("hash.grads", session->hash_grads());
      bindings.emplace_back("hash.buffer", hash_momentum = device.allocate(shape.numel() * sizeof(float)));
    }
    ValueId sum = kNoValue;
    for (const Part& part : parts) {
      const ValueId squares = b.sum_squares(part.grads);
      sum = sum == kNoValue ? squares : b.axpby(sum, squares, 1, 1);
    }
    const auto [coefficient, norm] = b.clip_scale(sum, bound_or_none(config.clip_norm));
    b.mark_output(norm);
    for (const Part& part : parts) b.sgd(part.weights, part.grads, part.buffer, coefficient, part.lr, config.momentum);
    if (session->weights_bf16().data() != nullptr) {
      b.cast(b.state("weights.bf16", {flat}, DType::kBF16), all.weights);
      bindings.emplace_back("weights.bf16", session->weights_bf16());
    }
    hash_lr_mult = config.hash_lr_mult;
    program = std::make_unique<StepProgram>(&device, b.finish(), norm, bindings);
  }

  Buffer momentum, hash_momentum;
  std::unique_ptr<StepProgram> program;
  double hash_lr_mult = 1;
};

Sgd::Sgd(Session* session, const SgdConfig& config) : impl_(std::make_unique<Impl>(session, config)) {}
Sgd::~Sgd() = default;
Buffer Sgd::momentum() const { return impl_->momentum; }
Buffer Sgd::hash_momentum() const { return impl_->hash_momentum; }
double Sgd::step(double lr) { return impl_->program->run({lr, lr * impl_->hash_lr_mult}); }

}  // namespace sixteen
