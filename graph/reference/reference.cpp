// The reference interpreter (reference.h): dense, attention and head ops here, rows and optimisers in reference_rows.cpp.
#include "graph/reference/reference.h"

#include <cmath>

#include "formats/check.h"
#include "graph/reference/reference_ops.h"

namespace sixteen::reference {

namespace {

Numbers product(const ReferenceCall& c) {
  const Attrs& a = c.node.attrs;
  const Shape sa = c.in_shape(0), sb = c.in_shape(1), sc = c.out_shape(0);
  const int64_t inner = a.ta ? sa[0] : sa[1];
  Numbers y(static_cast<size_t>(sc.numel()));
  for (int64_t i = 0; i < sc[0]; ++i) {
    for (int64_t j = 0; j < sc[1]; ++j) {
      for (int64_t k = 0; k < inner; ++k) {
        y[i * sc[1] + j] += c.in(0)[a.ta ? k * sa[1] + i : i * sa[1] + k] * c.in(1)[a.tb ? j * sb[1] + k : k * sb[1] + j];
      }
    }
  }
  return y;
}

void linear_add(const ReferenceCall& c) {
  Numbers y = product(c);
  for (size_t i = 0; i < y.size(); ++i) y[i] += c.in(2)[i];
  c.write(0, y);
}

void linear_leaky_relu_sq(const ReferenceCall& c) {
  Numbers y = product(c);
  if (c.node.out.size() > 1) c.write(1, y);
  for (double& v : y) v = v > 0 ? v * v : c.node.attrs.alpha * v * c.node.attrs.alpha * v;
  c.write(0, y);
}

void head_norm(const ReferenceCall& c) {
  const Attrs& a = c.node.attrs;
  const int64_t dim = c.in_shape(0)[1] / a.heads, half = c.in_shape(1)[1];
  const bool has_gain = c.node.in.size() > 3;
  Numbers y = c.in(0);
  for (int64_t head = 0; head < c.in_shape(0)[0] * a.heads; ++head) {
    double* x = &y[head * dim];
    double squares = 0;
    for (int64_t i = 0; i < dim; ++i) squares += x[i] * x[i];
    for (int64_t i = 0; i < dim; ++i) x[i] /= std::sqrt(squares / static_cast<double>(dim) + a.eps);
    const int64_t position = head / a.heads % a.seq;
    for (int64_t i = 0; i < half; ++i) {
      const double cos = c.in(1)[position * half + i], sin = c.in(2)[position * half + i];
      const double first = x[i], second = x[half + i];
      x[i] = first * cos + second * sin;
      x[half + i] = -first * sin + second * cos;
    }
    if (has_gain) {
      for (int64_t i = 0; i < dim; ++i) x[i] *= c.in(3)[head % a.heads];
    }
  }
  c.write(0, y);
}

void attention(const ReferenceCall& c) {
  const Attrs& a = c.node.attrs;
  const int64_t dim = c.in_shape(0)[1] / a.heads, windows = c.in_shape(1)[0] / a.seq;
  Numbers y(c.in(0).size()), lse(static_cast<size_t>(c.out_shape(1).numel()));
  for (int64_t w = 0; w < windows; ++w) {
    for (int64_t h = 0; h < a.heads; ++h) {
      const int64_t kv = h / (a.heads / a.kv_heads);
      for (int64_t i = 0; i < a.query_rows; ++i) {
        const double* q = &c.in(0)[((w * a.query_rows + i) * a.heads + h) * dim];
        double* out = &y[((w * a.query_rows + i) * a.heads + h) * dim];
        double total = 0;
        for (int64_t j = 0; j <= a.seq - a.query_rows + i; ++j) {
          const int64_t at = ((w * a.seq + j) * a.kv_heads + kv) * dim;
          double dot = 0;
          for (int64_t d = 0; d < dim; ++d) dot += q[d] * c.in(1)[at + d];
          const double weight = std::exp(a.alpha * dot);  // no maximum: the cases' scores are small
          total += weight;
          for (int64_t d = 0; d < dim; ++d) out[d] += weight * c.in(2)[at + d];
        }
        for (int64_t d = 0; d < dim; ++d) out[d] /= total;
        lse[(w * a.heads + h) * a.query_rows + i] = std::log(total);
      }
    }
  }
  c.write(0, y);
  c.write(1, lse);
}

// In place on y [rows, heads * dim]; the value of row r is v's row value_row(r). Returns y . vhat of each head.
template <class F>
Numbers remove_values(Numbers& y, const Numbers& values, const Attrs& a, int64_t dim, F value_row) {
  Numbers along(y.size() / static_cast<size_t>(dim));
  for (int64_t row = 0; row < static_cast<int64_t>(along.size()) / a.heads; ++row) {
    for (int64_t h = 0; h < a.heads; ++h) {
      const double* v = &values[(value_row(row) * a.kv_heads + h / (a.heads / a.kv_heads)) * dim];
      double* out = &y[(row * a.heads + h) * dim];
      double squares = 0, dot = 0;
      for (int64_t d = 0; d < dim; ++d) squares += v[d] * v[d];
      const double norm = std::max(std::sqrt(squares), 1e-12);
      for (int64_t d = 0; d < dim; ++d) dot += out[d] * v[d] / norm;
      for (int64_t d = 0; d < dim; ++d) out[d] -= dot * v[d] / norm;
      along[row * a.heads + h] = dot;
    }
  }
  return along;
}

void xsa(const ReferenceCall& c) {
  Numbers y = c.in(0);
  remove_values(y, c.in(1), c.node.attrs, c.in_shape(0)[1] / c.node.attrs.heads, [](int64_t row) { return row; });
  c.write(0, y);
}

void attention_xsa(const ReferenceCall& c) {
  const Attrs& a = c.node.attrs;
  attention(c);
  Numbers y = c.out_before(0);
  const Numbers along = remove_values(y, c.in(2), a, c.in_shape(0)[1] / a.heads, [&](int64_t row) {
    return row / a.query_rows * a.seq + a.seq - a.query_rows + row % a.query_rows;
  });
  c.write(0, y);
  if (c.node.out.size() > 2) c.write(2, along);
}

void softcap(const ReferenceCall& c) {
  const double cap = c.node.attrs.alpha;
  Numbers y = c.in(0);
  for (double& v : y) v = cap * std::tanh(v / cap);
  c.write(0, y);
}

void head_nll(const ReferenceCall& c) {
  const Attrs& a = c.node.attrs;
  const int64_t rows = c.in_shape(0)[0], dim = c.in_shape(0)[1], vocab = c.in_shape(1)[0];
  Numbers nll(static_cast<size_t>(rows));
  for (int64_t row = 0; row < rows; ++row) {
    double total = 0, wanted = 0;
    for (int64_t id = 0; id < vocab; ++id) {
      double logit = 0;
      for (int64_t d = 0; d < dim; ++d) logit += c.in(0)[row * dim + d] * c.in(1)[id * dim + d];
      logit = a.alpha * std::tanh(logit / a.alpha);
      if (a.round_bf16) logit = nearest_bf16(logit);
      total += std::exp(logit);
      if (id == static_cast<int64_t>(c.in(2)[row])) wanted = logit;
    }
    nll[row] = std::log(total) - wanted;
  }
  c.write(0, nll);
}

void head_hints(const ReferenceCall& c) {
  const Attrs& a = c.node.attrs;
  const int64_t rows = c.in_shape(0)[0], dim = c.in_shape(0)[1], vocab = c.in_shape(1)[0];
  Numbers stats(static_cast<size_t>(rows * 4));
  for (int64_t row = 0; row < rows; ++row) {
    Numbers y(static_cast<size_t>(vocab));
    double total = 0;
    for (int64_t id = 0; id < vocab; ++id) {
      for (int64_t d = 0; d < dim; ++d) y[id] += c.in(0)[row * dim + d] * c.in(1)[id * dim + d];
      y[id] = a.alpha * std::tanh(y[id] / a.alpha);
      if (a.round_bf16) y[id] = nearest_bf16(y[id]);
      total += std::exp(y[id]);
    }
    const int64_t target = static_cast<int64_t>(c.in(2)[row]), hint = static_cast<int64_t>(c.in(3)[row]);
    double* out = &stats[row * 4];
    out[0] = std::log(total) - y[target];
    if (hint >= 0) out[1] = std::log(total) - y[hint];
    for (int64_t id = 0; id < vocab; ++id) {
      const double p = std::exp(y[id]) / total;
      out[2] -= p * std::log(p);
      if (hint >= 0) out[3] += y[id] > y[hint] || (y[id] == y[hint] && id < hint);
    }
  }
  c.write(0, stats);
}

}  // namespace

const Numbers& ReferenceCall::in(int i) const { return values[node.in[i]]; }

Numbers ReferenceCall::out_before(int i) const { return read_value(graph, values, node.out[i]); }

void ReferenceCall::write(int i, const Numbers& result, bool overwrite) const {
  const ValueId id = node.out[i];
  const Value& value = graph.value(id);
  const ValueId base = graph.base_of(id);
  CHECK(static_cast<int64_t>(result.size()) == value.shape.numel());
  values[base].resize(static_cast<size_t>(graph.value(base).shape.numel()));
  const bool adds = !overwrite && (node.attrs.adds(i) || graph.value(base).kind == ValueKind::kState);
  double* to = &values[base][value.offset];
  for (size_t j = 0; j < result.size(); ++j) to[j] = adds ? to[j] + result[j] : result[j];
}

Numbers read_value(const Graph& graph, const std::vector<Numbers>& values, ValueId id) {
  const Value& value = graph.value(id);
  const Numbers& base = values[graph.base_of(id)];
  if (base.empty()) return {};
  return Numbers(base.begin() + value.offset, base.begin() + value.offset + value.shape.numel());
}

std::vector<Numbers> run_reference(const Graph& graph, const std::map<ValueId, Numbers>& bound) {
  std::vector<Numbers> values(graph.values().size());
  for (const auto& [id, numbers] : bound) values[id] = numbers;
  for (const Node& node : graph.nodes()) {
    for (ValueId id : node.in) {
      if (graph.value(id).kind == ValueKind::kView) values[id] = read_value(graph, values, id);
    }
    const ReferenceCall call{graph, node, values};
    switch (node.op) {
      case Op::kMatmul: call.write(0, product(call)); break;
      case Op::kLinearAdd: linear_add(call); break;
      case Op::kLinearLeakyReluSq: linear_leaky_relu_sq(call); break;
      case Op::kHeadNorm: head_norm(call); break;
      case Op::kAttention: attention(call); break;
      case Op::kAttentionXsa: attention_xsa(call); break;
      case Op::kXsa: xsa(call); break;
      case Op::kSoftcap: softcap(call); break;
      case Op::kHeadHints: head_hints(call); break;
      case Op::kHeadNll:
      case Op::kHeadLoss: head_nll(call); break;
      default: CHECK(reference_row_op(call) || reference_optim_op(call));
    }
  }
  for (size_t id = 0; id < values.size(); ++id) {
    if (graph.values()[id].kind == ValueKind::kView) values[id] = read_value(graph, values, static_cast<ValueId>(id));
  }
  return values;
}

}  // namespace sixteen::reference
