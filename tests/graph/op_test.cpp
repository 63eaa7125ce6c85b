// Every op on the CPU, from the one table of op_cases.h: values against the fp64 reference, fp32 against fp64, gradients against
// finite differences, and the promises about bits (threads, instruction sets, which rows run together).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <sstream>

#include "graph/cpu/gemm.h"
#include "tests/graph/op_cases.h"
#include "graph/reference/reference.h"

namespace sixteen::testing {

namespace {

using Results = std::map<std::string, std::vector<double>>;

// The parameter is the index of a case. Suites of their own hold the tests that make sense for some cases only.
class OpTest : public ::testing::TestWithParam<size_t> {
 protected:
  const OpCase& op_case() const { return op_cases()[GetParam()]; }
  CaseGraph build(DType dtype, bool with_gradients, int repeat = 1) const {
    return build_case(op_case(), dtype, {0, op_case().windows}, with_gradients, repeat);
  }
};

class OpGradientTest : public OpTest {};  // cases with a gradient
class OpWindowsTest : public OpTest {};   // cases of more than one window

Results run_on_cpu(const CaseGraph& c, int threads) {
  const std::unique_ptr<Device> device = make_device("cpu", threads);
  return run_case(c, *device);
}

double largest(const std::vector<double>& values) {
  double result = 0;
  for (double v : values) result = std::max(result, std::abs(v));
  return result;
}

// Largest difference over the largest entry of `expected`.
double relative_error(const std::vector<double>& found, const std::vector<double>& expected) {
  EXPECT_EQ(found.size(), expected.size());
  double difference = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::isnan(found[i])) return INFINITY;
    difference = std::max(difference, std::abs(found[i] - expected[i]));
  }
  return difference == 0 ? 0 : difference / largest(expected);
}

std::string printed(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

::testing::AssertionResult same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << a.size() << " and " << b.size() << " values";
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(double)) != 0) {
      return ::testing::AssertionFailure() << "element " << i << ": " << a[i] << " and " << b[i];
    }
  }
  return ::testing::AssertionSuccess();
}

// (1) fp64 differs from the reference by the order of sums only. Rounded cases may not differ more: an fp64 error of 1e-16 does
// not reach a rounding boundary of bf16.
TEST_P(OpTest, Fp64EqualsTheReference) {
  const CaseGraph c = build(DType::kF64, false);
  const Results results = run_on_cpu(c, 2);
  const auto reference = reference::run_reference(c.graph, c.bound);
  for (const CaseGraph::Result& r : c.results) {
    EXPECT_GT(largest(reference[r.id]), 0) << r.name;
    EXPECT_LT(relative_error(results.at(r.name), reference[r.id]), 1e-12) << r.name;
  }
}

// (2) with gradients where there are any
TEST_P(OpTest, Fp32IsCloseToFp64) {
  const Results exact = run_on_cpu(build(DType::kF64, true), 1);
  const Results found = run_on_cpu(build(DType::kF32, true), 1);
  for (const auto& [name, values] : exact) {
    const double error = relative_error(found.at(name), values);
    EXPECT_LT(error, op_case().tolerance) << name;
    RecordProperty(name, printed(error));
  }
}

// (3) Finite differences of the reference.
class Differences {
 public:
  Differences(const CaseGraph& forward, ValueId of) : forward_(forward), of_(of) {}

  // d objective(x + t direction) / dt at 0: four points, error of order kStep^4.
  double along(const std::vector<double>& direction) const {
    const double near = objective(direction, kStep) - objective(direction, -kStep);
    const double far = objective(direction, 2 * kStep) - objective(direction, -2 * kStep);
    return (8 * near - far) / (12 * kStep);
  }

 private:
  static constexpr double kStep = 5e-4;

  double objective(const std::vector<double>& direction, double t) const {
    auto bound = forward_.bound;
    for (size_t i = 0; i < direction.size(); ++i) bound[of_][i] += t * direction[i];
    const auto values = reference::run_reference(forward_.graph, bound);
    double sum = 0;
    for (const CaseGraph::Term& term : forward_.objective) {
      for (size_t i = 0; i < values[term.value].size(); ++i) sum += values[term.value][i] * values[term.weight][i];
    }
    return sum;
  }

  const CaseGraph& forward_;
  ValueId of_;
};

// Up to 12 single elements spread over the tensor, and one direction with all of them.
std::vector<std::vector<double>> directions(size_t count) {
  std::vector<std::vector<double>> result;
  const size_t picks = std::min<size_t>(count, 12);
  for (size_t i = 0; i < picks; ++i) {
    std::vector<double> one(count, 0);
    one[(i * count + count / 2) / picks] = 1;
    result.push_back(std::move(one));
  }
  std::vector<double> all(count);
  for (size_t i = 0; i < count; ++i) all[i] = std::cos(static_cast<double>(i * i % 1009));
  result.push_back(std::move(all));
  return result;
}

void check_gradients(const CaseGraph& forward, const CaseGraph& c) {
  const Results results = run_on_cpu(c, 2);
  for (const CaseGraph::Gradient& g : c.gradients) {
    std::vector<double> gradient = results.at(g.result);
    const auto state = std::find_if(c.results.begin(), c.results.end(), [&](const auto& r) { return r.name == g.result; });
    const auto before = c.bound.find(state->id);  // gradient states are added to
    for (size_t i = 0; before != c.bound.end() && i < gradient.size(); ++i) gradient[i] -= before->second[i];
    const double scale = largest(gradient);
    EXPECT_GT(scale, 0) << g.name;
    const Differences differences(forward, forward.graph.find(g.name));
    for (const std::vector<double>& direction : directions(gradient.size())) {
      double expected = 0, norm = 0;
      for (size_t i = 0; i < gradient.size(); ++i) {
        expected += gradient[i] * direction[i];
        norm += direction[i] * direction[i];
      }
      EXPECT_NEAR(differences.along(direction), expected, 1e-7 * scale * std::sqrt(norm)) << g.name;
    }
  }
}

TEST_P(OpGradientTest, EqualsFiniteDifferences) {
  check_gradients(build(DType::kF64, false), build(DType::kF64, true));
}

// The op twice on the same inputs: each second contribution goes through the "add" form of its gradient op.
TEST_P(OpGradientTest, AddsUp) { check_gradients(build(DType::kF64, false, 2), build(DType::kF64, true, 2)); }

// (4)
TEST_P(OpTest, SameBitsForEveryThreadCountAndInstructionSet) {
  const CaseGraph c = build(DType::kF32, true);
  const std::string best = cpu::isa_name();
  const Results expected = run_on_cpu(c, 1);
  for (const char* isa : {"plain", "avx2", "avx512"}) {
    if (!cpu::set_isa(isa)) continue;
    for (int threads : {1, 2, 3}) {
      const Results found = run_on_cpu(c, threads);
      for (const auto& [name, values] : expected) {
        EXPECT_TRUE(same_bits(found.at(name), values)) << name << ", " << isa << ", " << threads << " threads";
      }
    }
  }
  cpu::set_isa(best.c_str());
}

// (5) Windows computed alone, or in another company and place, have the bits that they have among all.
TEST_P(OpWindowsTest, DoNotSeeEachOther) {
  const int64_t all = op_case().windows;
  const Results expected = run_on_cpu(build(DType::kF32, false), 2);
  for (const WindowRange range : {WindowRange{all - 1, 1}, WindowRange{1, all / 2}, WindowRange{0, all - 1}}) {
    const CaseGraph part = build_case(op_case(), DType::kF32, range, false);
    const Results found = run_on_cpu(part, 2);
    for (const CaseGraph::Result& r : part.results) {
      if (!r.per_window) continue;
      const std::vector<double>& whole = expected.at(r.name);
      const int64_t size = static_cast<int64_t>(whole.size()) / all;
      const std::vector<double> same(whole.begin() + range.first * size, whole.begin() + (range.first + range.count) * size);
      EXPECT_TRUE(same_bits(found.at(r.name), same)) << r.name << ", windows from " << range.first << ", " << range.count;
    }
  }
}

template <class Wanted>
std::vector<size_t> indices(Wanted wanted) {
  std::vector<size_t> result;
  for (size_t i = 0; i < op_cases().size(); ++i) {
    if (wanted(op_cases()[i])) result.push_back(i);
  }
  return result;
}

std::string case_name(const ::testing::TestParamInfo<size_t>& tested) { return op_cases()[tested.param].name; }

bool any(const OpCase&) { return true; }
bool has_gradient(const OpCase& c) { return !build_case(c, DType::kF32, {0, c.windows}, false).objective.empty(); }
bool has_windows(const OpCase& c) { return c.windows > 1; }

INSTANTIATE_TEST_SUITE_P(Table, OpTest, ::testing::ValuesIn(indices(any)), case_name);
INSTANTIATE_TEST_SUITE_P(Table, OpGradientTest, ::testing::ValuesIn(indices(has_gradient)), case_name);
INSTANTIATE_TEST_SUITE_P(Table, OpWindowsTest, ::testing::ValuesIn(indices(has_windows)), case_name);

TEST(OpCases, EveryOpOccurs) {
  std::set<Op> seen;
  for (const OpCase& op_case : op_cases()) {
    const CaseGraph c = build_case(op_case, DType::kF32, {0, op_case.windows}, true);
    for (const Node& node : c.graph.nodes()) seen.insert(node.op);
  }
  for (int i = 0; i < kOpCount; ++i) {
    EXPECT_TRUE(seen.count(static_cast<Op>(i)) == 1) << op_name(static_cast<Op>(i)) << " has no case in op_cases.cpp";
  }
}

// The last queries of a window alone have the bits that they have among all queries.
TEST(Attention, TailQueriesHaveTheSameBits) {
  const int64_t windows = 2, seq = 150, heads = 4, kv_heads = 2, dim = 16;
  const auto run = [&](int64_t query_rows) {
    CaseBuilder c(DType::kF32, {0, windows}, false);
    const ValueId q = c.b.tail_rows(c.given_rows("q", seq, heads * dim), seq, query_rows);
    const ValueId k = c.given_rows("k", seq, kv_heads * dim), v = c.given_rows("v", seq, kv_heads * dim);
    const ValueId y = c.b.attention(q, k, v, {heads, kv_heads, seq, query_rows}, 0.25);
    c.output(query_rows == seq ? c.b.tail_rows(y, seq, 70) : y, false);
    return run_on_cpu(c.finish(), 2).at("out.0");
  };
  EXPECT_TRUE(same_bits(run(70), run(seq)));
}

}  // namespace

}  // namespace sixteen::testing
