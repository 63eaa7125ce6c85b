// The reference interpreter's tokens, rows and optimisers (reference.h).
#include <algorithm>
#include <cmath>

#include "graph/reference/reference_ops.h"

namespace sixteen::reference {

namespace {

void embedding(const ReferenceCall& c) {
  const int64_t dim = c.in_shape(1)[1];
  Numbers y;
  for (double id : c.in(0)) {
    for (int64_t d = 0; d < dim; ++d) y.push_back(c.in(1)[static_cast<int64_t>(id) * dim + d]);
  }
  c.write(0, y);
}

void bigram_hash(const ReferenceCall& c) {
  const Attrs& a = c.node.attrs;
  Numbers index;
  for (size_t i = 0; i < c.in(0).size(); ++i) {
    const bool first = i % static_cast<size_t>(a.seq) == 0;
    const double previous = !first ? c.in(0)[i - 1] : a.own_previous ? c.in(0)[i] : 0;
    index.push_back(std::fmod(previous * static_cast<double>(a.multiplier) + c.in(0)[i], static_cast<double>(a.buckets)));
  }
  c.write(0, index);
}

void pair_hash(const ReferenceCall& c) {  // ids below 59,139, so that nothing wraps
  const Attrs& a = c.node.attrs;
  Numbers index;
  for (size_t i = 0; i < c.in(0).size(); ++i) {
    if (i % static_cast<size_t>(a.seq) == 0) {
      index.push_back(static_cast<double>(a.buckets - 1));
      continue;
    }
    const int64_t id = static_cast<int64_t>(c.in(0)[i]), previous = static_cast<int64_t>(c.in(0)[i - 1]);
    index.push_back(static_cast<double>((36313 * id ^ 27191 * previous) % (a.buckets - 1)));
  }
  c.write(0, index);
}

void tail_rows(const ReferenceCall& c) {
  const Attrs& a = c.node.attrs;
  const int64_t dim = c.in_shape(0)[1];
  Numbers y;
  for (int64_t i = 0; i < c.in_shape(0).numel(); ++i) {
    if (i / dim % a.seq >= a.seq - a.query_rows) y.push_back(c.in(0)[i]);
  }
  c.write(0, y);
}

// c's output 0: the rows of y normalised
void normalise(const ReferenceCall& c, Numbers y) {
  const Attrs& a = c.node.attrs;
  const int64_t dim = c.in_shape(0).last();
  for (int64_t row = 0; row < c.in_shape(0).rows(); ++row) {
    double squares = 0;
    for (int64_t d = 0; d < dim; ++d) squares += y[row * dim + d] * y[row * dim + d];
    for (int64_t d = 0; d < dim; ++d) y[row * dim + d] *= a.alpha / std::sqrt(squares / static_cast<double>(dim) + a.eps);
  }
  c.write(0, y);
}

void mix_norm(const ReferenceCall& c) {
  const int64_t dim = c.in_shape(0).last();
  Numbers m = c.in(0);
  for (size_t i = 0; i < m.size(); ++i) m[i] = c.in(2)[i % dim] * m[i] + c.in(2)[dim + i % dim] * c.in(1)[i];
  if (c.node.out.size() > 1) c.write(1, m);
  normalise(c, m);
}

void fake_quant(const ReferenceCall& c) {
  const int64_t dim = c.in_shape(0).last();
  Numbers y = c.in(0);
  for (int64_t row = 0; row < c.in_shape(0).rows(); ++row) {
    double largest = 1;
    for (int64_t d = 0; d < dim; ++d) largest = std::max(largest, std::abs(y[row * dim + d]));
    const double step = largest / 31;
    for (int64_t d = 0; d < dim; ++d) {
      double& w = y[row * dim + d];
      w += step * std::clamp(std::nearbyint(w / step), c.node.attrs.alpha, 31.0) - w;
    }
  }
  c.write(0, y);
}

// y[i] = f(i, i mod the width of input 0)
template <class F>
void each(const ReferenceCall& c, F f) {
  Numbers y;
  const int64_t width = c.in_shape(0).last();
  for (int64_t i = 0; i < c.in_shape(0).numel(); ++i) y.push_back(f(i, i % width));
  c.write(0, y);
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// ---- Optimisers

double round_if(bool round, double x) { return round ? nearest_bf16(x) : x; }

void sum_squares(const ReferenceCall& c) {
  double sum = 0;
  for (double x : c.in(0)) sum += x * x;
  c.write(0, {sum});
}

void clip_scale(const ReferenceCall& c) {
  const double norm = std::sqrt(c.in(0)[0]);
  c.write(0, {std::min(1.0, c.node.attrs.alpha / (norm + 1e-6))});
  c.write(1, {norm});
}

void muon_direction(const ReferenceCall& c) {
  const Attrs& a = c.node.attrs;
  const int64_t cols = c.in_shape(0)[2];
  const double momentum = c.in(2)[0];
  Numbers u, buffer = c.out_before(1);
  for (size_t i = 0; i < c.in(0).size(); ++i) {
    const double g = round_if(a.round_bf16, c.in(0)[i] * c.in(1)[0]);
    buffer[i] = momentum * buffer[i] + g;
    u.push_back(g + momentum * buffer[i]);
  }
  for (size_t row = 0; a.row_norm && row < u.size(); row += static_cast<size_t>(cols)) {
    double squares = 0;
    for (int64_t i = 0; i < cols; ++i) squares += u[row + i] * u[row + i];
    for (int64_t i = 0; i < cols; ++i) u[row + i] /= std::max(std::sqrt(squares), 1e-7);
  }
  for (double& x : u) x = round_if(a.round_bf16, x);
  for (double& x : buffer) x = round_if(a.round_bf16, x);
  c.write(0, u);
  c.write(1, buffer, true);
}

struct Matrix {
  int64_t rows, cols;
  Numbers x;
  double& at(int64_t i, int64_t j) { return x[i * cols + j]; }
  double at(int64_t i, int64_t j) const { return x[i * cols + j]; }
};

Matrix product(const Matrix& a, const Matrix& b, bool round) {
  Matrix y{a.rows, b.cols, Numbers(static_cast<size_t>(a.rows * b.cols))};
  for (int64_t i = 0; i < y.rows; ++i) {
    for (int64_t j = 0; j < y.cols; ++j) {
      for (int64_t k = 0; k < a.cols; ++k) y.at(i, j) += a.at(i, k) * b.at(k, j);
      y.at(i, j) = round_if(round, y.at(i, j));
    }
  }
  return y;
}

Matrix transposed(const Matrix& a) {
  Matrix y{a.cols, a.rows, Numbers(a.x.size())};
  for (int64_t i = 0; i < a.rows; ++i) {
    for (int64_t j = 0; j < a.cols; ++j) y.at(j, i) = a.at(i, j);
  }
  return y;
}

Matrix combine(double alpha, const Matrix& a, double beta, const Matrix& b, bool round) {
  Matrix y = a;
  for (size_t i = 0; i < y.x.size(); ++i) {
    y.x[i] = round_if(round, round_if(round, alpha * a.x[i]) + round_if(round, beta * b.x[i]));
  }
  return y;
}

void newton_schulz(const ReferenceCall& c) {
  const Attrs& a = c.node.attrs;
  const bool round = a.round_bf16;
  const Shape s = c.in_shape(0);
  Numbers result;
  for (int64_t n = 0; n < s[0]; ++n) {
    const auto begin = c.in(0).begin() + n * s[1] * s[2];
    Matrix x{s[1], s[2], Numbers(begin, begin + s[1] * s[2])};
    double squares = 0;
    for (double& v : x.x) {
      v = round_if(round, v);
      squares += v * v;
    }
    const double norm = round_if(round, round_if(round, std::sqrt(squares)) + 1e-7);
    for (double& v : x.x) v = round_if(round, v / norm);
    const bool tall = s[1] > s[2];
    if (tall) x = transposed(x);
    for (int64_t step = 0; step < a.steps; ++step) {
      const Matrix gram = product(x, transposed(x), round);
      const Matrix poly = combine(-4.7750, gram, 2.0315, product(gram, gram, round), round);
      x = combine(3.4445, x, 1, product(poly, x, round), round);
    }
    if (tall) x = transposed(x);
    result.insert(result.end(), x.x.begin(), x.x.end());
  }
  c.write(0, result);
}

void adamw(const ReferenceCall& c) {
  const Attrs& a = c.node.attrs;
  const double lr = c.in(2)[0];
  Numbers p = c.out_before(0), m = c.out_before(1), v = c.out_before(2);
  for (size_t i = 0; i < p.size(); ++i) {
    const double g = round_if(a.round_bf16, c.in(0)[i] * c.in(1)[0]);
    m[i] = a.beta * m[i] + (1 - a.beta) * g;
    v[i] = a.beta2 * v[i] + (1 - a.beta2) * g * g;
    const double m_hat = m[i] / c.in(3)[0], v_hat = v[i] / c.in(4)[0];
    p[i] = p[i] * (1 - lr * a.weight_decay) - lr * m_hat / (std::sqrt(v_hat) + a.eps);
  }
  for (Numbers* state : {&p, &m, &v}) {
    for (double& x : *state) x = round_if(a.round_bf16, x);
  }
  c.write(0, p, true);
  c.write(1, m, true);
  c.write(2, v, true);
}

void sgd(const ReferenceCall& c) {
  Numbers p = c.out_before(0), buffer = c.out_before(1);
  for (size_t i = 0; i < p.size(); ++i) {
    buffer[i] = c.node.attrs.beta * buffer[i] + c.in(0)[i] * c.in(1)[0];
    p[i] -= c.in(2)[0] * buffer[i];
  }
  c.write(0, p, true);
  c.write(1, buffer, true);
}

// Output 0 <- keep * itself + take * input 0
void blend(const ReferenceCall& c, double keep, double take) {
  Numbers state = c.out_before(0);
  for (size_t i = 0; i < state.size(); ++i) state[i] = keep * state[i] + take * c.in(0)[i];
  c.write(0, state, true);
}

}  // namespace

double nearest_bf16(double x) {
  const float single = static_cast<float>(x);
  int exponent;
  std::frexp(single, &exponent);
  const double unit = std::ldexp(1.0, std::max(exponent, -125) - 8);  // bf16 keeps 8 bits of a normal number
  return std::nearbyint(single / unit) * unit;                       // to nearest even by default
}

bool reference_row_op(const ReferenceCall& c) {
  const Attrs& a = c.node.attrs;
  const auto in = [&](int i) -> const Numbers& { return c.in(i); };
  switch (c.node.op) {
    case Op::kEmbedding: embedding(c); return true;
    case Op::kBigramHash: a.xor_pairs ? pair_hash(c) : bigram_hash(c); return true;
    case Op::kTailRows: tail_rows(c); return true;
    case Op::kFill: c.write(0, Numbers(static_cast<size_t>(c.out_shape(0).numel()), a.alpha), true); return true;
    case Op::kScale: each(c, [&](int64_t i, int64_t) { return a.alpha * in(0)[i]; }); return true;
    case Op::kScaleBy: each(c, [&](int64_t i, int64_t) { return a.alpha * in(1)[0] * in(0)[i]; }); return true;
    case Op::kAddRow: each(c, [&](int64_t i, int64_t d) { return in(0)[i] + in(1)[d]; }); return true;
    case Op::kSmear: {
      const int64_t dim = c.in_shape(0).last();
      each(c, [&](int64_t i, int64_t d) {
        const double g = sigmoid(in(1)[d]), before = i / dim % a.seq == 0 ? 0 : in(0)[i - dim];
        return (1 - g) * in(0)[i] + g * before;
      });
      return true;
    }
    case Op::kHeadGate: {
      const int64_t dim = c.in_shape(0).last() / a.heads;
      each(c, [&](int64_t i, int64_t d) { return in(0)[i] * sigmoid(in(1)[i / dim] + in(2)[d / dim]); });
      return true;
    }
    case Op::kFakeQuant: fake_quant(c); return true;
    case Op::kAxpby: each(c, [&](int64_t i, int64_t) { return a.alpha * in(0)[i] + a.beta * in(1)[i]; }); return true;
    case Op::kRmsNorm: normalise(c, c.in(0)); return true;
    case Op::kResidualMix: {
      const int64_t dim = c.in_shape(0).last();
      each(c, [&](int64_t i, int64_t d) { return in(2)[d] * in(0)[i] + in(2)[dim + d] * in(1)[i]; });
      return true;
    }
    case Op::kMixNorm: mix_norm(c); return true;
    case Op::kScaleRows: {
      const int64_t dim = c.in_shape(0).last();
      each(c, [&](int64_t i, int64_t) { return in(1)[i / dim] * in(0)[i]; });
      return true;
    }
    case Op::kAddScaled: each(c, [&](int64_t i, int64_t d) { return in(0)[i] + in(2)[d] * in(1)[i]; }); return true;
    case Op::kSkipGate:
      each(c, [&](int64_t i, int64_t d) {
        const double g = sigmoid(in(3)[d]);
        return g * in(0)[i] + (1 - g) * in(2)[d] * in(1)[i];
      });
      return true;
    case Op::kLaneMix:
      each(c, [&](int64_t i, int64_t d) {
        return in(5)[0] * in(0)[i] + in(6)[0] * in(3)[d] * in(1)[i] + in(7)[0] * in(4)[d] * in(2)[i];
      });
      return true;
    case Op::kLeakyReluSq:
      each(c, [&](int64_t i, int64_t) {
        const double h = in(0)[i] > 0 ? in(0)[i] : a.alpha * in(0)[i];
        return h * h;
      });
      return true;
    default: return false;
  }
}

bool reference_optim_op(const ReferenceCall& c) {
  const Attrs& a = c.node.attrs;
  switch (c.node.op) {
    case Op::kSumSquares: sum_squares(c); return true;
    case Op::kClipScale: clip_scale(c); return true;
    case Op::kMuonDirection: muon_direction(c); return true;
    case Op::kNewtonSchulz: newton_schulz(c); return true;
    case Op::kMuonApply: {
      const double lr = c.in(1)[0];
      if (!a.round_bf16) {
        blend(c, 1 - lr * a.weight_decay, -lr * a.alpha);
        return true;
      }
      Numbers w = c.out_before(0);
      for (size_t i = 0; i < w.size(); ++i) {
        w[i] = nearest_bf16(nearest_bf16((1 - lr * a.weight_decay) * w[i]) - lr * a.alpha * c.in(0)[i]);
      }
      c.write(0, w, true);
      return true;
    }
    case Op::kAdamW: adamw(c); return true;
    case Op::kSgd: sgd(c); return true;
    case Op::kEma: blend(c, a.alpha, 1 - a.alpha); return true;
    case Op::kCast: {
      Numbers y = c.in(0);
      const bool round = c.graph.value(c.node.out[0]).dtype == DType::kBF16;
      for (double& v : y) v = round ? nearest_bf16(v) : v;
      c.write(0, y, true);
      return true;
    }
    default: return false;
  }
}

}  // namespace sixteen::reference
