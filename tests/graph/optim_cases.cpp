// The optimisers' part of the case table (op_cases.h).
//
// Bites: where values are rounded to bf16, fp32 and fp64 runs may round one the other way: those cases are held to one bf16 ulp
// (2^-8) of the largest entry, Newton-Schulz to what its five steps make of that.
#include "tests/graph/op_cases.h"

namespace sixteen::testing {

namespace {

using C = CaseBuilder;

constexpr double kUlpBf16 = 0x1p-8;

std::vector<OpCase> make_cases() {
  std::vector<OpCase> t;
  t.push_back({"sum_squares_odd", 1, [](C& c) { c.whole(c.b.sum_squares(c.state("x", {37})), false); }});
  t.push_back({"sum_squares_long", 1, [](C& c) { c.whole(c.b.sum_squares(c.state("x", {5, 9001})), false); }});
  for (const bool clips : {false, true}) {
    t.push_back({clips ? "clip_scale_clips" : "clip_scale_keeps", 1, [=](C& c) {
                   const auto [coefficient, norm] = c.b.clip_scale(c.constant("sum", {1}, 3, 4), clips ? 0.3 : 30);
                   c.whole(coefficient, false);
                   c.whole(norm, false);
                 }});
  }
  const auto direction = [](Shape shape, bool row_norm, bool round) {
    return [=](C& c) {
      c.whole(c.b.muon_direction(c.state("g", shape), c.state("buffer", shape), c.constant("coefficient", {1}, 0.4, 0.6),
                                 c.constant("momentum", {1}, 0.9, 0.95), row_norm, round),
              false);
    };
  };
  t.push_back({"muon_direction_odd", 1, direction({2, 7, 33}, false, false)});
  t.push_back({"muon_direction_rows", 1, direction({3, 100, 90}, true, false)});
  t.push_back({"muon_direction_bf16", 1, direction({2, 30, 40}, true, true), kUlpBf16});
  const auto newton_schulz = [](Shape shape, int64_t steps, bool round) {
    return [=](C& c) { c.whole(c.b.newton_schulz(c.state("u", shape), steps, round), false); };
  };
  t.push_back({"newton_schulz_wide", 1, newton_schulz({2, 5, 19}, 5, false), 2e-5});
  t.push_back({"newton_schulz_tall", 1, newton_schulz({3, 40, 24}, 5, false), 2e-5});
  t.push_back({"newton_schulz_strips", 1, newton_schulz({1, 133, 140}, 2, false), 2e-5});  // over 128: symmetric in two strips
  t.push_back({"newton_schulz_one_step", 1, newton_schulz({1, 32, 32}, 1, false), 2e-5});
  t.push_back({"newton_schulz_bf16", 1, newton_schulz({2, 24, 40}, 5, true), 0.1});
  t.push_back({"muon_apply_bf16", 1, [](C& c) {
                 c.b.muon_apply(c.state("w", {1, 3, 90}), c.state("u", {1, 3, 90}), c.constant("lr", {1}, 0.02, 0.03), 0.095, 2,
                                true);
               }, 8e-3});  // a value that rounds the other way moves by 2^-8 of itself
  t.push_back({"muon_apply", 1, [](C& c) {
                 c.b.muon_apply(c.state("w", {2, 100, 90}), c.state("u", {2, 100, 90}), c.constant("lr", {1}, 0.02, 0.03), 0.095, 2);
               }});
  const auto adamw = [](Shape shape, bool round) {
    return [=](C& c) {
      c.b.adamw(c.state("p", shape), c.state("g", shape), c.state("m", shape), c.state("v", shape, 0.01, 0.5),
                c.constant("coefficient", {1}, 0.4, 0.6), c.constant("lr", {1}, 0.02, 0.03), c.constant("bias1", {1}, 0.2, 0.3),
                c.constant("bias2", {1}, 0.1, 0.2), {0.9, 0.95, 1e-8, 0.095, round});
    };
  };
  t.push_back({"adamw_odd", 1, adamw({37}, false)});
  t.push_back({"adamw_long", 1, adamw({200, 90}, false)});
  t.push_back({"adamw_bf16", 1, adamw({37, 21}, true), kUlpBf16});
  t.push_back({"sgd", 1, [](C& c) {
                 const Shape shape{200, 90};
                 c.b.sgd(c.state("p", shape), c.state("g", shape), c.state("buffer", shape),
                         c.constant("coefficient", {1}, 0.4, 0.6), c.constant("lr", {1}, 0.02, 0.03), 0.9);
               }});
  t.push_back({"ema", 1, [](C& c) { c.b.ema(c.state("e", {200, 90}), c.state("w", {200, 90}), 0.997); }});
  t.push_back({"cast_bf16", 1, [](C& c) { c.b.cast(c.state("y", {5, 37}, DType::kBF16), c.state("x", {5, 37})); }});
  t.push_back({"cast_same", 1, [](C& c) { c.b.cast(c.state("y", {5, 37}), c.state("x", {5, 37})); }});
  t.push_back({"add_scaled_by", 1, [](C& c) {
                 c.b.add_scaled_by(c.state("sum", {37}), c.state("x", {37}), c.constant("s", {1}, 0.3, 0.4), 0.5);
               }});
  return t;
}

}  // namespace

const std::vector<OpCase>& optim_cases() {
  static const std::vector<OpCase> table = make_cases();
  return table;
}

}  // namespace sixteen::testing
