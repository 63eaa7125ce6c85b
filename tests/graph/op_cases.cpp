// The case table of the model's ops (op_cases.h); the optimisers' part is optim_cases.cpp.
//
// Shapes: odd ones that fill no vector, ones that cross a row block (128 rows), a grain of the thread pool (16384 elements), an
// attention tile (64 keys), and head dim 64 as the real model has it.
#include "tests/graph/op_cases.h"

#include <cmath>

namespace sixteen::testing {

namespace {

using C = CaseBuilder;

void add_token_cases(std::vector<OpCase>& t) {
  const auto embedding = [](int64_t vocab, int64_t dim) {
    return [=](C& c) { c.output(c.b.embedding(c.ids("ids", 1, vocab), c.weight("table", {vocab, dim})), true); };
  };
  t.push_back({"embedding_odd", 9, embedding(5, 33)});
  t.push_back({"embedding_long", 300, embedding(40, 130)});
  const auto hash = [](int64_t buckets, bool own) {
    return [=](C& c) { c.output(c.b.bigram_hash(c.ids("ids", 6, 8192), buckets, 2039, 6, own), false); };
  };
  t.push_back({"bigram_hash_zero", 4, hash(16384, false)});
  t.push_back({"bigram_hash_own", 4, hash(1000, true)});
  const auto pairs = [](int64_t buckets) {
    return [=](C& c) { c.output(c.b.pair_hash(c.ids("ids", 6, 8192), buckets, 6), false); };
  };
  t.push_back({"bigram_hash_pairs", 4, pairs(2048)});
  t.push_back({"bigram_hash_pairs_small", 4, pairs(64)});
  t.push_back({"tail_rows", 5, [](C& c) { c.output(c.b.tail_rows(c.given_rows("x", 7, 19), 7, 3), false); }});
}

void add_dense_cases(std::vector<OpCase>& t) {
  const auto linear = [](int64_t in, int64_t out, bool tb) {
    return [=](C& c) {
      c.output(c.b.matmul(c.rows("x", 1, in), c.weight("w", tb ? Shape{out, in} : Shape{in, out}), false, tb), true);
    };
  };
  t.push_back({"matmul_nt_odd", 7, linear(33, 17, true)});
  t.push_back({"matmul_nt_long", 150, linear(96, 70, true), 1e-5});
  t.push_back({"matmul_nn", 13, linear(20, 45, false)});
  const auto transposed = [](bool tb) {
    return [=](C& c) {
      c.whole(c.b.matmul(c.rows("x", 23, 11), c.weight("w", tb ? Shape{9, 23} : Shape{23, 9}), true, tb), true);
    };
  };
  t.push_back({"matmul_tn", 1, transposed(false)});
  t.push_back({"matmul_tt", 1, transposed(true)});
  const auto linear_add = [](int64_t in, int64_t out) {
    return [=](C& c) { c.output(c.b.linear_add(c.rows("x", 1, out), c.rows("a", 1, in), c.weight("w", {out, in})), true); };
  };
  t.push_back({"linear_add_odd", 7, linear_add(33, 17)});
  t.push_back({"linear_add_long", 150, linear_add(96, 70), 1e-5});
  const auto mlp = [](int64_t dim, int64_t hidden) {  // the activation feeds a product, as in the model
    return [=](C& c) {
      const ValueId h = c.b.linear_leaky_relu_sq(c.rows("x", 1, dim), c.weight("up", {hidden, dim}), 0.5, true);
      c.output(c.b.linear(h, c.weight("down", {dim, hidden})), true);
    };
  };
  t.push_back({"mlp_odd", 7, mlp(17, 33), 1e-5});
  t.push_back({"mlp_long", 150, mlp(40, 2), 1e-5});  // few sums lie near 0, where differences see the kink
  t.push_back({"linear_leaky_relu_sq", 150, [](C& c) {  // used on its own, and by two products
                 const ValueId h = c.b.linear_leaky_relu_sq(c.rows("x", 1, 20), c.weight("w", {2, 20}), 0.5, true);
                 c.output(h, true);
                 c.output(c.b.linear(h, c.weight("a", {9, 2})), true);
                 c.output(c.b.linear(h, c.weight("b", {7, 2})), true);
               }, 1e-5});
  t.push_back({"linear_leaky_relu_sq_scoring", 150, [](C& c) {
                 c.output(c.b.linear_leaky_relu_sq(c.given_rows("x", 1, 64), c.table("up", {256, 64}), 0.5, false), false);
               }, 1e-5});
  t.push_back({"scale_rows", 150, [](C& c) {  // its matrix in two products, as in a layer that is visited twice
                 const ValueId w = c.b.scale_rows(c.channels("w", {30, 33}), c.channels("s", {30}));
                 c.output(c.b.linear(c.rows("x", 1, 33), w), true);
                 c.output(c.b.linear_add(c.rows("y", 1, 30), c.rows("z", 1, 33), w), true);
               }, 1e-5});
  t.push_back({"matmul_bank_view", 6, [](C& c) {
                 const ValueId bank = c.weight("bank", {3, 10, 8});
                 const ValueId hidden = c.b.linear(c.rows("x", 1, 8), c.b.view(bank, 80, {10, 8}));
                 c.output(c.b.linear(hidden, c.b.view(bank, 160, {8, 10})), true);
               }});
  t.push_back({"matmul_add_gram", 140, [](C& c) {
                 c.b.add_gram(c.given_rows("x", 1, 21), c.state("hessian", {21, 21}));
               }});
}

void add_row_cases(std::vector<OpCase>& t) {
  t.push_back({"scale", 300, [](C& c) { c.output(c.b.scale(c.rows("x", 1, 75), -0.7), true); }});
  t.push_back({"scale_by_weight", 300, [](C& c) {
                 c.output(c.b.scale_by(c.rows("x", 1, 75), c.channels("s", {1}), 1.7), true);
               }, 1e-5});  // ds: a sum of 22,500 terms of both signs
  t.push_back({"scale_by", 300, [](C& c) {
                 c.output(c.b.scale_by(c.given_rows("x", 1, 75), c.constant("s", {1}, 0.3, 0.4), 1.7), false);
               }});
  t.push_back({"axpby", 300, [](C& c) {
                 c.output(c.b.axpby(c.rows("x", 1, 75), c.rows("y", 1, 75), 0.6, -1.3), true);
               }});
  t.push_back({"axpby_passed", 5, [](C& c) {  // factors 1: gradients that take over memory instead of being copied
                 const ValueId x = c.rows("x", 1, 7), y = c.rows("y", 1, 7);
                 const ValueId z = c.b.axpby(c.b.scale(x, 1), c.b.axpby(x, y, 1, 1), 1, 1);
                 c.output(c.b.axpby(z, z, 1, 1), true);
               }});
  for (const auto& [name, rows, dim] : {std::tuple{"odd", 7, 33}, {"long", 300, 100}, {"model", 5, 512}}) {
    const int64_t d = dim;
    const std::string suffix = std::string("_") + name;
    t.push_back({"rms_norm" + suffix, rows, [=](C& c) { c.output(c.b.rms_norm(c.rows("x", 1, d), 1e-6, 0.8), true); }});
    t.push_back({"residual_mix" + suffix, rows, [=](C& c) {
                   c.output(c.b.residual_mix(c.rows("x", 1, d), c.rows("x0", 1, d), c.channels("mix", {2, d})), true);
                 }});
    t.push_back({"mix_norm" + suffix, rows, [=](C& c) {
                   const auto [y, m] = c.b.mix_norm(c.rows("x", 1, d), c.rows("x0", 1, d), c.channels("mix", {2, d}), 1e-6, 0.8, true);
                   c.output(y, true);
                   c.output(c.b.scale(m, 0.7), true);
                 }, 1e-5});
    t.push_back({"add_scaled" + suffix, rows, [=](C& c) {
                   c.output(c.b.add_scaled(c.rows("x", 1, d), c.rows("a", 1, d), c.channels("s", {d})), true);
                 }});
    t.push_back({"skip_gate" + suffix, rows, [=](C& c) {
                   c.output(c.b.skip_gate(c.rows("x", 1, d), c.rows("skip", 1, d), c.channels("w", {d}), c.channels("gate", {d})),
                            true);
                 }});
    t.push_back({"add_row" + suffix, rows, [=](C& c) {
                   c.output(c.b.add_row(c.rows("x", 1, d), c.channels("row", {d})), true);
                 }});
    t.push_back({"smear" + suffix, rows, [=](C& c) {
                   c.output(c.b.smear(c.rows("x", 3, d), c.channels("gate", {d}), 3), true);
                 }});
    t.push_back({"lane_mix" + suffix, rows, [=](C& c) {
                   c.output(c.b.lane_mix(c.rows("lane", 1, d), c.rows("a", 1, d), c.rows("f", 1, d), c.channels("sa", {d}),
                                         c.channels("sf", {d}), c.channels("r", {1}), c.channels("pa", {1}), c.channels("pf", {1})),
                            true);
                 }, 1e-5});  // sums of up to 30,000 terms of both signs
    t.push_back({"leaky_relu_sq" + suffix, rows, [=](C& c) { c.output(c.b.leaky_relu_sq(c.rows("h", 1, d), 0.5), true); }});
  }
  t.push_back({"residual_mix_self", 9, [](C& c) {  // layer 0: x and x0 are one value, their gradients one array
                 const ValueId x = c.rows("x", 1, 21);
                 c.output(c.b.residual_mix(x, x, c.channels("mix", {2, 21})), true);
               }});
  t.push_back({"mix_norm_self", 9, [](C& c) {
                 const ValueId x = c.rows("x", 1, 256);
                 c.output(c.b.mix_norm(x, x, c.channels("mix", {2, 256}), 1e-6, 1, false).normalised, true);
               }, 1e-5});
  const auto fake_quant = [](int64_t rows, int64_t cols, double bound) {
    return [=](C& c) { c.whole(c.b.fake_quant(c.constant("w", {rows, cols}, -bound, bound), -32), false); };
  };
  t.push_back({"fake_quant_floor", 1, fake_quant(9, 33, 0.9)});  // every step is 1/31
  t.push_back({"fake_quant_wide", 1, fake_quant(150, 130, 4)});
  t.push_back({"fill", 1, [](C& c) { c.b.fill(c.state("y", {37}), -2.5); }});
}

ValueId angles(C& c, bool cosine, int64_t seq, int64_t half) {
  return c.constant(cosine ? "cos" : "sin", {seq, half}, [=](int64_t i) {
    const double angle = static_cast<double>(i / half) * std::pow(10.0, -static_cast<double>(i % half) / 4);
    return cosine ? std::cos(angle) : std::sin(angle);
  });
}

void add_attention_cases(std::vector<OpCase>& t) {
  const auto head_norm = [](int64_t heads, int64_t head_dim, int64_t half, int64_t seq, bool gain) {
    return [=](C& c) {
      const ValueId cos = angles(c, true, seq + 2, half), sin = angles(c, false, seq + 2, half);
      const ValueId g = gain ? c.channels("gain", {heads}) : kNoValue;
      c.output(c.b.head_norm(c.rows("x", seq, heads * head_dim), cos, sin, g, heads, seq, 1e-6), true);
    };
  };
  t.push_back({"head_norm_odd", 3, head_norm(3, 10, 2, 5, true)});
  t.push_back({"head_norm_plain", 3, head_norm(2, 16, 8, 5, false)});
  t.push_back({"head_norm_model", 5, head_norm(4, 64, 8, 30, true), 1e-5});
  const auto attention = [](AttentionShape s, int64_t head_dim, bool differentiate, bool xsa = false) {
    return [=](C& c) {
      const auto rows = [&](const char* name, int64_t count, int64_t heads) {
        return differentiate ? c.rows(name, count, heads * head_dim) : c.given_rows(name, count, heads * head_dim);
      };
      const ValueId q = rows("q", s.query_rows, s.heads);
      const ValueId k = rows("k", s.seq, s.kv_heads), v = rows("v", s.seq, s.kv_heads);
      const double scale = 1.5 / std::sqrt(static_cast<double>(head_dim));
      c.output(xsa ? c.b.attention_xsa(q, k, v, s, scale, differentiate) : c.b.attention(q, k, v, s, scale), differentiate);
    };
  };
  t.push_back({"attention_odd", 3, attention({3, 1, 5, 5}, 10, true)});
  t.push_back({"attention_one_tile", 2, attention({2, 2, 64, 64}, 16, true)});
  t.push_back({"attention_tiles", 2, attention({4, 2, 131, 131}, 8, true), 1e-5});
  t.push_back({"attention_model", 1, attention({4, 2, 70, 70}, 64, true), 1e-5});
  t.push_back({"attention_tail", 3, attention({4, 2, 130, 3}, 16, false)});
  t.push_back({"attention_xsa_odd", 3, attention({3, 1, 5, 5}, 10, true, true)});
  t.push_back({"attention_xsa_model", 1, attention({4, 2, 70, 70}, 64, true, true), 1e-5});
  t.push_back({"attention_xsa_tail", 3, attention({4, 2, 130, 3}, 16, false, true)});
  const auto head_gate = [](int64_t heads, int64_t head_dim) {
    return [=](C& c) {
      c.output(c.b.head_gate(c.rows("y", 1, heads * head_dim), c.rows("z", 1, heads), c.channels("bias", {heads}), heads), true);
    };
  };
  t.push_back({"head_gate_odd", 7, head_gate(3, 10)});
  t.push_back({"head_gate_model", 150, head_gate(8, 64)});
  const auto xsa = [](int64_t heads, int64_t kv_heads, int64_t head_dim) {
    return [=](C& c) {
      c.output(c.b.xsa(c.rows("y", 1, heads * head_dim), c.rows("v", 1, kv_heads * head_dim), heads, kv_heads), true);
    };
  };
  t.push_back({"xsa_odd", 7, xsa(3, 1, 10)});
  t.push_back({"xsa_model", 150, xsa(4, 2, 64)});
}

void add_head_cases(std::vector<OpCase>& t) {
  t.push_back({"softcap", 300, [](C& c) { c.output(c.b.softcap(c.rows("z", 1, 75), 0.9), true); }, 1e-5});
  const auto nll = [](int64_t dim, int64_t vocab, bool round) {
    return [=](C& c) {
      c.output(c.b.head_nll(c.given_rows("x", 1, dim), c.table("table", {vocab, dim}), c.ids("targets", 1, vocab), 3,
                            round), false);
    };
  };
  t.push_back({"head_nll_odd", 7, nll(17, 33, false)});
  t.push_back({"head_nll_long", 150, nll(32, 300, false), 1e-5});
  t.push_back({"head_nll_bf16", 70, nll(32, 300, true), 8e-3});  // a logit that rounds the other way moves by 2^-8 of itself
  // The largest entry is a rank, so losses and entropies are compared loosely here and to their own size in loss_test.cpp.
  const auto hints = [](int64_t dim, int64_t vocab) {
    return [=](C& c) {
      const ValueId targets = c.ids("targets", 1, vocab), hinted = c.ids("hints", 1, vocab);
      c.output(c.b.head_hints(c.given_rows("x", 1, dim), c.table("table", {vocab, dim}), targets, hinted, 3), false);
    };
  };
  t.push_back({"head_hints_odd", 7, hints(17, 33)});
  t.push_back({"head_hints_long", 70, hints(32, 300)});
  const auto loss = [](int64_t dim, int64_t vocab) {
    return [=](C& c) {
      const ValueId x = c.b.scale(c.rows("x", 1, dim), 1.5), weights = c.given_rows("row_weight", 1, 0);
      const HeadLoss head = c.b.head_loss(x, c.weight("table", {vocab, dim}), c.ids("targets", 1, vocab), weights, 3);
      c.output(head.nll, false);
      c.seeded(x, head.dx, head.nll, weights);
    };
  };
  t.push_back({"head_loss_odd", 7, loss(17, 33), 1e-5});
  t.push_back({"head_loss_long", 150, loss(32, 300), 1e-5});
}

std::vector<OpCase> make_cases() {
  std::vector<OpCase> table;
  add_token_cases(table);
  add_dense_cases(table);
  add_row_cases(table);
  add_attention_cases(table);
  add_head_cases(table);
  for (const OpCase& c : optim_cases()) table.push_back(c);
  return table;
}

}  // namespace

const std::vector<OpCase>& op_cases() {
  static const std::vector<OpCase> table = make_cases();
  return table;
}

}  // namespace sixteen::testing
