// Values, views and the forward ops of Builder: each method is the shape rule of its op.
#include "graph/builder.h"

#include "formats/check.h"

namespace sixteen {

Builder::Builder(DType dtype) {
  CHECK(dtype == DType::kF32 || dtype == DType::kF64 || dtype == DType::kBF16);
  graph_.dtype_ = dtype;
}

ValueId Builder::add_value(Value value) {
  const ValueId id = static_cast<ValueId>(graph_.values_.size());
  if (value.kind != ValueKind::kTemp && value.kind != ValueKind::kView) {
    CHECK(!value.name.empty());
    CHECK(graph_.names_.emplace(value.name, id).second);
  }
  graph_.values_.push_back(std::move(value));
  return id;
}

ValueId Builder::temp(Shape shape, DType dtype) {
  return add_value({.kind = ValueKind::kTemp, .dtype = dtype, .shape = shape});
}

void Builder::add_node(Op op, Attrs attrs, std::vector<ValueId> in, std::vector<ValueId> out) {
  graph_.nodes_.push_back({op, attrs, std::move(in), std::move(out)});
}

ValueId Builder::input(const std::string& name, Shape shape, DType dtype) {
  return add_value({.name = name, .kind = ValueKind::kInput, .dtype = dtype, .shape = shape});
}

ValueId Builder::input_ids(const std::string& name, Shape shape) {
  return add_value({.name = name, .kind = ValueKind::kInput, .dtype = DType::kI32, .shape = shape});
}

ValueId Builder::weight(const std::string& name, Shape shape, ValueId gradient, DType dtype) {
  if (gradient != kNoValue) CHECK(this->shape(gradient).numel() == shape.numel());
  return add_value({.name = name, .kind = ValueKind::kWeight, .dtype = dtype, .shape = shape, .gradient = gradient});
}

ValueId Builder::state(const std::string& name, Shape shape, DType dtype) {
  return add_value({.name = name, .kind = ValueKind::kState, .dtype = dtype, .shape = shape});
}

ValueId Builder::view(ValueId base, int64_t offset, Shape shape) {
  const Value source = graph_.values_[base];
  CHECK(offset >= 0 && offset + shape.numel() <= source.shape.numel());
  Value value{.name = source.name, .kind = ValueKind::kView, .dtype = source.dtype, .shape = shape};
  value.base = graph_.base_of(base);
  value.offset = offset + source.offset;
  if (source.gradient != kNoValue) value.gradient = view(source.gradient, offset, shape);
  return add_value(value);
}

void Builder::mark_output(ValueId value) {
  CHECK(graph_.values_[value].kind == ValueKind::kTemp);
  graph_.values_[value].output = true;
}

ValueId Builder::embedding(ValueId ids, ValueId table) {
  CHECK(graph_.values_[ids].dtype == DType::kI32 && shape(table).rank() == 2);
  const ValueId y = temp({shape(ids).numel(), shape(table)[1]});
  add_node(Op::kEmbedding, {}, {ids, table}, {y});
  return y;
}

ValueId Builder::bigram_hash(ValueId ids, int64_t buckets, int64_t multiplier, int64_t seq, bool own_previous) {
  CHECK(graph_.values_[ids].dtype == DType::kI32 && buckets > 0 && seq > 0 && shape(ids).numel() % seq == 0);
  const ValueId index = temp({shape(ids).numel()}, DType::kI32);
  add_node(Op::kBigramHash, {.seq = seq, .buckets = buckets, .multiplier = multiplier, .own_previous = own_previous}, {ids},
           {index});
  return index;
}

ValueId Builder::pair_hash(ValueId ids, int64_t buckets, int64_t seq) {
  CHECK(graph_.values_[ids].dtype == DType::kI32 && buckets > 1 && seq > 0 && shape(ids).numel() % seq == 0);
  const ValueId index = temp({shape(ids).numel()}, DType::kI32);
  add_node(Op::kBigramHash, {.seq = seq, .buckets = buckets, .xor_pairs = true}, {ids}, {index});
  return index;
}

ValueId Builder::tail_rows(ValueId x, int64_t seq, int64_t tail) {
  CHECK(shape(x).rank() == 2 && shape(x)[0] % seq == 0 && tail >= 1 && tail <= seq);
  const ValueId y = temp({shape(x)[0] / seq * tail, shape(x)[1]});
  add_node(Op::kTailRows, {.seq = seq, .query_rows = tail}, {x}, {y});
  return y;
}

ValueId Builder::matmul(ValueId a, ValueId b, bool ta, bool tb, bool bf16_result) {
  const Shape& sa = shape(a);
  const Shape& sb = shape(b);
  CHECK(sa.rank() == 2 && sb.rank() == 2);
  CHECK((ta ? sa[0] : sa[1]) == (tb ? sb[1] : sb[0]) && dtype(a) == dtype(b));
  const ValueId y = temp({ta ? sa[1] : sa[0], tb ? sb[0] : sb[1]}, bf16_result ? graph_.dtype_ : bound_dtype());
  add_node(Op::kMatmul, {.ta = ta, .tb = tb}, {a, b}, {y});
  return y;
}

ValueId Builder::linear_add(ValueId x, ValueId a, ValueId w) {
  CHECK(shape(a).rank() == 2 && shape(w).rank() == 2 && shape(a)[1] == shape(w)[1] && dtype(a) == dtype(w));
  CHECK(shape(x) == (Shape{shape(a)[0], shape(w)[0]}));
  const ValueId y = temp(shape(x));
  add_node(Op::kLinearAdd, {.tb = true}, {a, w, x}, {y});
  return y;
}

ValueId Builder::linear_leaky_relu_sq(ValueId x, ValueId w, double slope, bool keep_input) {
  CHECK(shape(x).rank() == 2 && shape(w).rank() == 2 && shape(x)[1] == shape(w)[1] && dtype(x) == dtype(w));
  std::vector<ValueId> out = {temp({shape(x)[0], shape(w)[0]})};
  if (keep_input) out.push_back(temp(shape(out[0])));
  add_node(Op::kLinearLeakyReluSq, {.alpha = slope, .tb = true}, {x, w}, out);
  return out[0];
}

void Builder::add_gram(ValueId x, ValueId hessian) {
  CHECK(shape(x).rank() == 2 && shape(hessian) == (Shape{shape(x)[1], shape(x)[1]}));
  add_node(Op::kMatmul, {.ta = true}, {x, x}, {hessian});
}

ValueId Builder::scale(ValueId x, double alpha) {
  const ValueId y = temp(shape(x));
  add_node(Op::kScale, {.alpha = alpha}, {x}, {y});
  return y;
}

ValueId Builder::scale_by(ValueId x, ValueId s, double alpha) {
  CHECK(shape(s).numel() == 1);
  const ValueId y = temp(shape(x));
  add_node(Op::kScaleBy, {.alpha = alpha}, {x, s}, {y});
  return y;
}

ValueId Builder::add_row(ValueId x, ValueId row) {
  CHECK(shape(row).numel() == shape(x).last());
  const ValueId y = temp(shape(x));
  add_node(Op::kAddRow, {}, {x, row}, {y});
  return y;
}

ValueId Builder::axpby(ValueId x, ValueId y, double alpha, double beta) {
  CHECK(shape(x) == shape(y));
  const ValueId out = temp(shape(x));
  add_node(Op::kAxpby, {.alpha = alpha, .beta = beta}, {x, y}, {out});
  return out;
}

ValueId Builder::rms_norm(ValueId x, double eps, double alpha) {
  const ValueId y = temp(shape(x));
  add_node(Op::kRmsNorm, {.alpha = alpha, .eps = eps}, {x}, {y});
  return y;
}

ValueId Builder::residual_mix(ValueId x, ValueId x0, ValueId mix) {
  CHECK(shape(x) == shape(x0) && shape(mix) == (Shape{2, shape(x).last()}));
  const ValueId y = temp(shape(x));
  add_node(Op::kResidualMix, {}, {x, x0, mix}, {y});
  return y;
}

Builder::MixNorm Builder::mix_norm(ValueId x, ValueId x0, ValueId mix, double eps, double alpha, bool keep_mix) {
  CHECK(shape(x) == shape(x0) && shape(mix) == (Shape{2, shape(x).last()}));
  std::vector<ValueId> out = {temp(shape(x))};
  if (keep_mix) out.push_back(temp(shape(x)));
  add_node(Op::kMixNorm, {.alpha = alpha, .eps = eps}, {x, x0, mix}, out);
  return {out[0], keep_mix ? out[1] : kNoValue};
}

ValueId Builder::scale_rows(ValueId w, ValueId s) {
  CHECK(shape(w).rank() == 2 && shape(s).numel() == shape(w)[0] && dtype(w) == bound_dtype());
  const ValueId y = temp(shape(w));
  add_node(Op::kScaleRows, {}, {w, s}, {y});
  return y;
}

ValueId Builder::add_scaled(ValueId x, ValueId a, ValueId s) {
  CHECK(shape(x) == shape(a) && shape(s).numel() == shape(x).last());
  const ValueId y = temp(shape(x));
  add_node(Op::kAddScaled, {}, {x, a, s}, {y});
  return y;
}

ValueId Builder::skip_gate(ValueId x, ValueId skip, ValueId w, ValueId gate) {
  CHECK(shape(x) == shape(skip) && shape(w).numel() == shape(x).last() && shape(gate).numel() == shape(x).last());
  const ValueId y = temp(shape(x));
  add_node(Op::kSkipGate, {}, {x, skip, w, gate}, {y});
  return y;
}

ValueId Builder::smear(ValueId x, ValueId gate, int64_t seq) {
  CHECK(shape(x).rank() == 2 && shape(x)[0] % seq == 0 && shape(gate).numel() == shape(x).last());
  const ValueId y = temp(shape(x));
  add_node(Op::kSmear, {.seq = seq}, {x, gate}, {y});
  return y;
}

ValueId Builder::lane_mix(ValueId lane, ValueId a, ValueId f, ValueId sa, ValueId sf, ValueId r, ValueId pa, ValueId pf) {
  CHECK(shape(lane) == shape(a) && shape(lane) == shape(f));
  CHECK(shape(sa).numel() == shape(lane).last() && shape(sf).numel() == shape(lane).last());
  CHECK(shape(r).numel() == 1 && shape(pa).numel() == 1 && shape(pf).numel() == 1);
  const ValueId y = temp(shape(lane));
  add_node(Op::kLaneMix, {}, {lane, a, f, sa, sf, r, pa, pf}, {y});
  return y;
}

ValueId Builder::leaky_relu_sq(ValueId h, double slope) {
  const ValueId y = temp(shape(h));
  add_node(Op::kLeakyReluSq, {.alpha = slope}, {h}, {y});
  return y;
}

ValueId Builder::fake_quant(ValueId w, int64_t low) {
  CHECK(shape(w).rank() == 2);
  const ValueId y = temp(shape(w));
  add_node(Op::kFakeQuant, {.alpha = static_cast<double>(low)}, {w}, {y});
  return y;
}

ValueId Builder::head_norm(ValueId x, ValueId cos, ValueId sin, ValueId gain, int64_t heads, int64_t seq, double eps) {
  CHECK(shape(x).rank() == 2 && shape(x)[1] % heads == 0 && shape(x)[0] % seq == 0);
  CHECK(shape(cos) == shape(sin) && shape(cos).rank() == 2 && shape(cos)[0] >= seq);
  CHECK(2 * shape(cos)[1] <= shape(x)[1] / heads);
  std::vector<ValueId> in = {x, cos, sin};
  if (gain != kNoValue) {
    CHECK(shape(gain).numel() == heads);
    in.push_back(gain);
  }
  const ValueId y = temp(shape(x));
  add_node(Op::kHeadNorm, {.eps = eps, .heads = heads, .seq = seq}, in, {y});
  return y;
}

namespace {

Attrs attention_attrs(const Shape& q, const Shape& k, const Shape& v, const AttentionShape& s, double alpha) {
  CHECK(s.heads % s.kv_heads == 0 && q[1] % s.heads == 0 && k == v);
  CHECK(k[1] == q[1] / s.heads * s.kv_heads && k[0] % s.seq == 0);
  CHECK(s.query_rows >= 1 && s.query_rows <= s.seq && q[0] == k[0] / s.seq * s.query_rows);
  return {.alpha = alpha, .heads = s.heads, .kv_heads = s.kv_heads, .seq = s.seq, .query_rows = s.query_rows};
}

}  // namespace

ValueId Builder::attention(ValueId q, ValueId k, ValueId v, const AttentionShape& s, double alpha, ValueId keys) {
  const Attrs attrs = attention_attrs(shape(q), shape(k), shape(v), s, alpha);
  const ValueId y = temp(shape(q)), lse = temp({shape(q)[0] * s.heads}, bound_dtype());
  std::vector<ValueId> in = {q, k, v};
  if (keys != kNoValue) {
    CHECK(graph_.values_[keys].dtype == DType::kI32 && shape(keys).numel() == 1 && shape(k)[0] == s.seq);
    in.push_back(keys);
  }
  add_node(Op::kAttention, attrs, in, {y, lse});
  return y;
}

ValueId Builder::attention_xsa(ValueId q, ValueId k, ValueId v, const AttentionShape& s, double alpha, bool keep_along) {
  const Attrs attrs = attention_attrs(shape(q), shape(k), shape(v), s, alpha);
  std::vector<ValueId> out = {temp(shape(q)), temp({shape(q)[0] * s.heads}, bound_dtype())};
  if (keep_along) out.push_back(temp({shape(q)[0], s.heads}, bound_dtype()));
  add_node(Op::kAttentionXsa, attrs, {q, k, v}, out);
  return out[0];
}

ValueId Builder::xsa(ValueId y, ValueId v, int64_t heads, int64_t kv_heads) {
  CHECK(shape(y)[0] == shape(v)[0] && shape(y)[1] % heads == 0 && shape(v)[1] == shape(y)[1] / heads * kv_heads);
  const ValueId out = temp(shape(y));
  add_node(Op::kXsa, {.heads = heads, .kv_heads = kv_heads}, {y, v}, {out});
  return out;
}

ValueId Builder::head_gate(ValueId y, ValueId z, ValueId bias, int64_t heads) {
  CHECK(shape(y)[1] % heads == 0 && shape(z) == (Shape{shape(y)[0], heads}) && shape(bias).numel() == heads);
  const ValueId out = temp(shape(y));
  add_node(Op::kHeadGate, {.heads = heads}, {y, z, bias}, {out});
  return out;
}

ValueId Builder::softcap(ValueId z, double cap) {
  const ValueId y = temp(shape(z), dtype(z));
  add_node(Op::kSoftcap, {.alpha = cap}, {z}, {y});
  return y;
}

ValueId Builder::head_nll(ValueId x, ValueId table, ValueId targets, double cap, bool round_bf16) {
  CHECK(shape(x)[1] == shape(table)[1] && shape(targets).numel() == shape(x)[0] && dtype(x) == dtype(table));
  CHECK(graph_.values_[targets].dtype == DType::kI32);
  const ValueId nll = temp({shape(x)[0]}, bound_dtype());
  add_node(Op::kHeadNll, {.alpha = cap, .round_bf16 = round_bf16}, {x, table, targets}, {nll});
  return nll;
}

ValueId Builder::head_hints(ValueId x, ValueId table, ValueId targets, ValueId hints, double cap, bool round_bf16) {
  CHECK(shape(x)[1] == shape(table)[1] && shape(targets).numel() == shape(x)[0] && shape(hints) == shape(targets));
  CHECK(dtype(x) == dtype(table) && dtype(targets) == DType::kI32 && dtype(hints) == DType::kI32);
  const ValueId stats = temp({shape(x)[0], 4}, bound_dtype());
  add_node(Op::kHeadHints, {.alpha = cap, .round_bf16 = round_bf16}, {x, table, targets, hints}, {stats});
  return stats;
}

HeadLoss Builder::head_loss(ValueId x, ValueId table, ValueId targets, ValueId row_weight, double cap) {
  CHECK(shape(x)[1] == shape(table)[1] && shape(targets).numel() == shape(x)[0] && shape(row_weight).numel() == shape(x)[0]);
  CHECK(dtype(x) == dtype(table));
  CHECK(graph_.values_[targets].dtype == DType::kI32);
  const HeadLoss loss{temp({shape(x)[0]}, bound_dtype()), temp(shape(x))};
  std::vector<ValueId> out = {loss.nll, loss.dx};
  if (graph_.values_[table].gradient != kNoValue) out.push_back(graph_.values_[table].gradient);
  add_node(Op::kHeadLoss, {.alpha = cap}, {x, table, targets, row_weight}, out);
  return loss;
}

Graph Builder::finish() { return std::move(graph_); }

}  // namespace sixteen
