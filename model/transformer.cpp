// The forward pass in order (spec_1584 section 3), then what each mode adds to it.
//
// Bites: the lane options that the spec leaves open were found by fitting the golden data (oracle/model/1584); their rules
// stand at the code. What no output needs (a lane that the end drops, queries before the tail) is not recorded, because a
// graph runs every node it has.
#include "model/transformer.h"

#include "formats/check.h"
#include "model/block.h"

namespace sixteen {

namespace {

class Transformer {
 public:
  Transformer(const ModelConfig& config, const ParamTable& table, const BuildOptions& options, bool keep_activations)
      : config_(config),
        options_(options),
        blocks_(config, table, options, keep_activations),
        b_(blocks_.builder()),
        tail_(options.tail == 0 ? options.seq : options.tail) {}

  ModelGraph build();

 private:
  void embed();
  ValueId hash_embedding();
  void begin_pass(int64_t layer);
  bool opens_lanes(int64_t layer, int64_t position) const;
  void take_skip(int64_t decoder_position);
  ValueId skipped(ValueId x, ValueId skip, int64_t row);
  void visit(int64_t layer, bool last);
  void visit_one_lane(int64_t layer, int64_t tail);
  void visit_two_lanes(int64_t layer, int64_t tail, bool last);
  ValueId mix_lane(int64_t layer, int64_t lane, ValueId stream, ValueId a, ValueId f);
  ValueId merge_lanes();
  void finish_train(ValueId x, ModelGraph* model);

  bool two_lanes() const { return lane1_ != kNoValue; }
  const char* head_name() const { return config_.tied_head ? "tok_emb.weight" : "lm_head.weight"; }

  const ModelConfig& config_;
  const BuildOptions& options_;
  Blocks blocks_;
  Builder& b_;
  int64_t tail_;
  ValueId x0_ = kNoValue;
  ValueId x_ = kNoValue;  // the stream; lane 0 when there are two
  ValueId lane1_ = kNoValue;
  std::vector<ValueId> skips_;
  int64_t passes_ = 0;  // begun so far
};

ModelGraph Transformer::build() {
  embed();
  const LayerOrder order = layer_order(config_, options_.looping);
  for (const int64_t layer : order.encoder) {
    begin_pass(layer);
    visit(layer, false);
    if (config_.skip != "none") skips_.push_back(x_);
  }
  const int64_t encoder = static_cast<int64_t>(order.encoder.size()),
                decoder = static_cast<int64_t>(order.decoder.size());
  for (int64_t d = 0; d < decoder; ++d) {
    begin_pass(order.decoder[d]);
    const bool opens = opens_lanes(order.decoder[d], encoder + d);
    // With skips for both lanes the position that opens them neither pops nor uses its row (golden skip_both_lanes).
    if (!opens || config_.parallel.skip_lane0_only) take_skip(d);
    if (opens) lane1_ = x_;
    visit(order.decoder[d], d + 1 == decoder);
  }
  const ValueId hidden = blocks_.keep(blocks_.norm(merge_lanes()));

  ModelGraph model;
  const ValueId table = blocks_.operand(head_name());
  const int64_t rows = options_.windows * tail_;
  switch (options_.mode) {
    case Mode::kTrain:
      finish_train(hidden, &model);
      break;
    case Mode::kScore:
      model.nll = b_.head_nll(hidden, table, b_.input_ids("targets", {rows}), config_.softcap, options_.logits_bf16);
      b_.mark_output(model.nll);
      break;
    case Mode::kHints:
      model.nll = b_.head_hints(hidden, table, b_.input_ids("targets", {rows}), b_.input_ids("hints", {rows}), config_.softcap,
                                options_.logits_bf16);
      b_.mark_output(model.nll);
      break;
    case Mode::kLogits:
      // fp32 in a bf16 graph too, as scores keep them: a distribution is looked at, or coded, with what it is scored by.
      model.logits = b_.softcap(b_.matmul(hidden, table, false, true, false), config_.softcap);
      b_.mark_output(model.logits);
      break;
    case Mode::kCalib:
      blocks_.tap_hessian(head_name(), hidden);
      break;
  }
  model.activations = blocks_.activations();
  model.graph = b_.finish();
  return model;
}

// Token, hashed pair and evaluation-time hash are summed; the norm comes before or after the latter (trap T9). Of two leading
// ids the first serves the pair of the second, whose row serves the smear of the first new one.
void Transformer::embed() {
  const int64_t seq = options_.lead + options_.seq;
  ValueId x = b_.embedding(blocks_.ids(), blocks_.operand("tok_emb.weight"));
  if (config_.bigram.rows > 0) {
    const ValueId index = b_.pair_hash(blocks_.ids(), config_.bigram.rows, seq);
    const ValueId rows = b_.embedding(index, blocks_.operand("bigram.embed.weight"));
    const ValueId pairs = blocks_.projected(rows, "bigram.proj.weight");
    x = b_.axpby(x, b_.scale_by(pairs, blocks_.weight("bigram.scale")), 1, 1);
  }
  const bool hash = options_.hash.buckets > 0, before_norm = options_.hash.before_norm;
  if (hash && before_norm) x = b_.axpby(x, hash_embedding(), 1, 1);
  x = blocks_.norm(x);
  if (hash && !before_norm) x = b_.axpby(x, hash_embedding(), 1, 1);
  x_ = config_.smear ? b_.smear(x, blocks_.weight("smear.gate"), seq) : x;
  if (options_.lead > 0) x_ = b_.tail_rows(x_, seq, options_.seq);
  x0_ = x_;
}

ValueId Transformer::hash_embedding() {
  const HashEmbedConfig& hash = options_.hash;
  const Shape shape{hash.buckets, config_.dim};
  const ValueId gradient = options_.mode == Mode::kTrain ? b_.state("grad.hash_emb.weight", shape) : kNoValue;
  const ValueId table = b_.weight("hash_emb.weight", shape, gradient);
  return b_.embedding(
      b_.bigram_hash(blocks_.ids(), hash.buckets, hash.multiplier, options_.lead + options_.seq, hash.own_previous), table);
}

// #1555: a pass over the looped layers begins with a vector of its own, before any skip. Without looping there is one pass
// and no vector.
void Transformer::begin_pass(int64_t layer) {
  if (!config_.loop.pass_embedding || !options_.looping || layer != config_.loop.start) return;
  x_ = b_.add_row(x_, blocks_.weight_part("loop_pass_emb.weight", passes_++ * config_.dim, {config_.dim}));
}

// position: in the unrolled order of visits.
bool Transformer::opens_lanes(int64_t layer, int64_t position) const {
  if (config_.parallel.kind == "none" || two_lanes()) return false;
  return (config_.parallel.start_is_physical ? layer : position) >= config_.parallel.start_layer;
}

void Transformer::take_skip(int64_t decoder_position) {
  if (skips_.empty() || decoder_position >= skip_count(config_)) return;
  const ValueId skip = skips_.back();
  skips_.pop_back();
  // A frozen lane 0 stays what it was when the lanes opened: no skip reaches it (golden freeze_lane0).
  if (!two_lanes() || !config_.parallel.freeze_lane0) x_ = skipped(x_, skip, decoder_position);
  if (two_lanes() && !config_.parallel.skip_lane0_only) lane1_ = skipped(lane1_, skip, decoder_position);
}

ValueId Transformer::skipped(ValueId x, ValueId skip, int64_t row) {
  const ValueId weight = blocks_.weight_part("skip_weights", row * config_.dim, {config_.dim});
  if (config_.skip == "additive") return b_.add_scaled(x, skip, weight);
  return b_.skip_gate(x, skip, weight, blocks_.weight_part("skip_gates", row * config_.dim, {config_.dim}));
}

void Transformer::visit(int64_t layer, bool last) {
  const int64_t tail = last ? tail_ : options_.seq;  // after the last attention only scored rows matter
  if (two_lanes())
    visit_two_lanes(layer, tail, last);
  else
    visit_one_lane(layer, tail);
}

void Transformer::visit_one_lane(int64_t layer, int64_t tail) {
  const auto [u, mixed] = blocks_.mixed_norm(layer, x_, x0_, true);
  x_ = blocks_.add_attention(layer, blocks_.tail_rows(mixed, tail), u, tail);
  x_ = blocks_.add_mlp(layer, x_, blocks_.layer_norm(layer, x_));
}

// Both sublayers read the lanes as they were: attention lane 0 mixed with x0, the MLP lane 1 as it is (mlp_read_mix:
// mixed with x0 by the same weights). Each new lane adds up both outputs with scalars of its own.
void Transformer::visit_two_lanes(int64_t layer, int64_t tail, bool last) {
  const ValueId mix = blocks_.layer_weight(layer, "resid_mix");
  const ValueId a = blocks_.attention(layer, blocks_.mixed_norm(layer, x_, x0_, false).normalised, tail);
  x_ = blocks_.tail_rows(x_, tail);
  lane1_ = blocks_.tail_rows(lane1_, tail);
  const ValueId read =
      config_.parallel.mlp_read_mix ? b_.residual_mix(lane1_, blocks_.tail_rows(x0_, tail), mix) : lane1_;
  const ValueId f = blocks_.mlp(layer, blocks_.layer_norm(layer, read));
  const std::string& end = config_.parallel.final_lane;
  if (!config_.parallel.freeze_lane0 && !(last && end == "mlp")) x_ = mix_lane(layer, 0, x_, a, f);
  if (!(last && end == "attn")) lane1_ = mix_lane(layer, 1, lane1_, a, f);
}

ValueId Transformer::mix_lane(int64_t layer, int64_t lane, ValueId stream, ValueId a, ValueId f) {
  const auto post = [&](int64_t source) {
    return blocks_.weight_part("parallel_post_lambdas", layer * 4 + source * 2 + lane, {1});
  };
  return b_.lane_mix(stream, a, f, blocks_.layer_weight(layer, "attn_scale"), blocks_.layer_weight(layer, "mlp_scale"),
                     blocks_.weight_part("parallel_resid_lambdas", layer * 2 + lane, {1}), post(0), post(1));
}

ValueId Transformer::merge_lanes() {
  if (!two_lanes() || config_.parallel.final_lane == "attn") return x_;
  if (config_.parallel.final_lane == "mlp") return lane1_;
  return b_.axpby(x_, lane1_, 0.5, 0.5);
}

void Transformer::finish_train(ValueId hidden, ModelGraph* model) {
  const Shape rows{options_.windows * options_.seq};
  const HeadLoss loss = b_.head_loss(hidden, blocks_.operand(head_name()), b_.input_ids("targets", rows),
                                     b_.input("row_weight", rows), config_.softcap);
  b_.mark_output(loss.nll);
  model->nll = loss.nll;
  b_.backward({{hidden, loss.dx}});
}

}  // namespace

ModelGraph build_model(const ModelConfig& config, const ParamTable& table, const BuildOptions& options,
                       bool keep_activations) {
  CHECK(options.windows >= 1 && options.seq >= 1 && options.tail >= 0 && options.tail <= options.seq);
  const bool all_rows = options.tail == 0 || options.tail == options.seq;
  CHECK(all_rows || options.mode == Mode::kScore || options.mode == Mode::kHints || options.mode == Mode::kLogits);
  CHECK(options.cache_rows == 0 ? options.lead == 0 : options.mode == Mode::kLogits && options.windows == 1);
  return Transformer(config, table, options, keep_activations).build();
}

double train_flops_per_token(const ModelConfig& config, int64_t seq, bool looping) {
  const LayerOrder order = layer_order(config, looping);
  const double visits = static_cast<double>(order.encoder.size() + order.decoder.size());
  const double dim = static_cast<double>(config.dim), kv_dim = static_cast<double>(config.kv_heads * config.head_dim());
  const double layer_matrices = 2 * dim * dim + 2 * dim * kv_dim + 2 * dim * static_cast<double>(config.mlp_hidden);
  const double head = dim * static_cast<double>(config.vocab);
  return 6 * (visits * layer_matrices + head) + visits * 12 * (static_cast<double>(seq) / 2) * dim;
}

}  // namespace sixteen
