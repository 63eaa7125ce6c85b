// The case table of op_cases.h on a CUDA card: fp32 against the CPU's fp64, bf16 against fp32, bits that repeat and do not
// depend on the company, and no byte written outside of any value.
//
// Bites: without a card every test here skips and says so. Cases of the optimisers compute in fp32 in both kinds of graph.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <sstream>

#include "formats/error.h"
#include "tests/graph/op_cases.h"

namespace sixteen::testing {
namespace {

using Results = std::map<std::string, std::vector<double>>;

// Largest error over the largest entry. fp32: sums in another order than the CPU's, device functions of 2 ulp, and __expf-free
// code: three times a case's CPU tolerance. bf16: an entry is stored to 2^-9 of itself, and up to four stored values lie on the
// way to a result.
constexpr double kFp32Slack = 3, kBf16Tolerance = 4 * 0x1p-8;

Device* card() {
  static std::string why;
  static const std::unique_ptr<Device> device = [] {
    std::unique_ptr<Device> made;
    try {
      made = make_device("cuda");
    } catch (const Error& error) {
      why = error.what();
    }
    return made;
  }();
  return device.get();
}

// Attention as tensor cores run it: tiles that are not full, several of them, queries at the end only.
std::vector<OpCase> make_table() {
  std::vector<OpCase> table = op_cases();
  const auto attention = [](AttentionShape s, bool differentiate, bool xsa = false) {
    return [=](CaseBuilder& c) {
      const auto rows = [&](const char* name, int64_t count, int64_t heads) {
        return differentiate ? c.rows(name, count, heads * 64) : c.given_rows(name, count, heads * 64);
      };
      const ValueId q = rows("q", s.query_rows, s.heads), k = rows("k", s.seq, s.kv_heads), v = rows("v", s.seq, s.kv_heads);
      c.output(xsa ? c.b.attention_xsa(q, k, v, s, 0.15, differentiate) : c.b.attention(q, k, v, s, 0.15), differentiate);
    };
  };
  table.push_back({"attention64_tiles", 2, attention({4, 2, 256, 256}, true), 1e-5});
  table.push_back({"attention64_ragged", 3, attention({4, 1, 331, 331}, true), 1e-5});
  table.push_back({"attention64_tail", 3, attention({4, 2, 331, 77}, false), 1e-5});
  table.push_back({"attention64_xsa_tiles", 2, attention({4, 2, 256, 256}, true, true), 1e-5});
  table.push_back({"attention64_xsa_alone", 2, attention({2, 2, 331, 331}, true, true), 1e-5});   // each head with keys of its own
  table.push_back({"attention64_xsa_ragged", 3, attention({4, 1, 331, 331}, true, true), 1e-5});
  table.push_back({"attention64_xsa_tail", 3, attention({4, 2, 331, 77}, false, true), 1e-5});
  const auto linear = [](int64_t in, int64_t out) {
    return [=](CaseBuilder& c) { c.output(c.b.linear(c.rows("x", 1, in), c.weight("w", {out, in})), true); };
  };
  table.push_back({"matmul_library", 200, linear(128, 192), 1e-5});
  const auto mlp = [](int64_t dim, int64_t hidden) {
    return [=](CaseBuilder& c) {
      const ValueId h = c.b.linear_leaky_relu_sq(c.rows("x", 1, dim), c.weight("up", {hidden, dim}), 0.5, true);
      c.output(c.b.linear(h, c.weight("down", {dim, hidden})), true);
    };
  };
  table.push_back({"mlp_one_step", 70, mlp(64, 256), 1e-5});  // rows do not fill a tile; of 64 or 512 columns, the bounds of Hopper's
  table.push_back({"mlp_model", 301, mlp(512, 768), 1e-5});
  table.push_back({"mlp_scoring", 301, [](CaseBuilder& c) {
                     c.output(c.b.linear_leaky_relu_sq(c.given_rows("x", 1, 192), c.table("up", {512, 192}), 0.5, false), false);
                   }, 1e-5});
  table.push_back({"linear_add_library", 200, [](CaseBuilder& c) {
                     c.output(c.b.linear_add(c.rows("x", 1, 192), c.rows("a", 1, 128), c.weight("w", {192, 128})), true);
                   }, 1e-5});
  for (const int64_t dim : {128, 256, 512, 1024}) {
    table.push_back({"mix_norm_" + std::to_string(dim), 150, [=](CaseBuilder& c) {
                       const auto [y, m] =
                           c.b.mix_norm(c.rows("x", 1, dim), c.rows("x0", 1, dim), c.channels("mix", {2, dim}), 1e-6, 0.8, true);
                       c.output(y, true);
                       c.output(c.b.scale(m, 0.7), true);
                     }, 1e-5});
  }
  const auto head = [](CaseBuilder& c) {
    const ValueId x = c.b.scale(c.rows("x", 1, 64), 1.5), weights = c.given_rows("row_weight", 1, 0);
    const HeadLoss loss = c.b.head_loss(x, c.weight("table", {1024, 64}), c.ids("targets", 1, 1024), weights, 30);
    c.output(loss.nll, false);
    c.seeded(x, loss.dx, loss.nll, weights);
  };
  table.push_back({"head_loss_library", 200, head, 1e-5});
  const auto model_head = [](CaseBuilder& c) {  // the vocabulary and cap that have a kernel of their own
    const ValueId x = c.b.scale(c.rows("x", 1, 32), 1.5), weights = c.given_rows("row_weight", 1, 0);
    const HeadLoss loss = c.b.head_loss(x, c.weight("table", {8192, 32}), c.ids("targets", 1, 8192), weights, 30);
    c.output(loss.nll, false);
    c.seeded(x, loss.dx, loss.nll, weights);
  };
  table.push_back({"head_loss_model", 21, model_head, 1e-5});
  table.push_back({"head_nll_model", 21, [](CaseBuilder& c) {
                     c.output(c.b.head_nll(c.given_rows("x", 1, 32), c.table("table", {8192, 32}), c.ids("targets", 1, 8192), 30), false);
                   }, 1e-5});
  return table;
}

const std::vector<OpCase>& table() {
  static const std::vector<OpCase> cases = make_table();
  return cases;
}

double relative_error(const std::vector<double>& found, const std::vector<double>& expected) {
  EXPECT_EQ(found.size(), expected.size());
  double difference = 0, largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::isnan(found[i])) return INFINITY;
    difference = std::max(difference, std::abs(found[i] - expected[i]));
    largest = std::max(largest, std::abs(expected[i]));
  }
  return difference == 0 ? 0 : difference / largest;
}

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

// A compiled case whose every value lies between guards of 512 poisoned bytes; the arena is poisoned too.
class GuardedCase {
 public:
  GuardedCase(const CaseGraph& c, Device& device) : c_(c), device_(device) {
    Plan plan;
    plan.offset.assign(c.graph.values().size(), -1);
    plan.arena_bytes = kGuard;
    for (size_t i = 0; i < plan.offset.size(); ++i) {
      const Value& value = c.graph.values()[i];
      if (value.kind != ValueKind::kTemp) continue;
      plan.offset[i] = plan.arena_bytes;
      guards_.push_back({plan.arena_bytes + bytes_of(value), 0});
      plan.arena_bytes += (bytes_of(value) + 255) / 256 * 256 + kGuard;
      guards_.back().second = plan.arena_bytes;
    }
    arena_ = device.allocate(static_cast<size_t>(plan.arena_bytes));
    executor_ = device.compile(c.graph, plan, arena_);
    for (const auto& [id, values] : c.bound) {
      buffers_[id] = device.allocate(static_cast<size_t>(bytes_of(c.graph.value(id)) + 2 * kGuard));
      executor_->bind(id, buffers_[id].data() + kGuard);
    }
  }

  Results run() {
    std::vector<std::byte> poison(arena_.bytes(), kPoison);
    device_.upload(arena_.data(), poison.data(), poison.size());
    for (const auto& [id, values] : c_.bound) {
      std::vector<std::byte> bytes(buffers_[id].bytes(), kPoison);
      const std::vector<std::byte> own = to_bytes(values, c_.graph.value(id).dtype);
      std::copy(own.begin(), own.end(), bytes.begin() + kGuard);
      device_.upload(buffers_[id].data(), bytes.data(), bytes.size());
    }
    executor_->run();
    check_guards();
    Results results;
    for (const CaseGraph::Result& r : c_.results) {
      const Value& value = c_.graph.value(r.id);
      std::vector<std::byte> bytes(static_cast<size_t>(bytes_of(value)));
      device_.download(bytes.data(), executor_->data(r.id), bytes.size());
      results[r.name] = from_bytes(bytes, value.dtype);
    }
    return results;
  }

 private:
  static constexpr int64_t kGuard = 512;
  static constexpr std::byte kPoison{0xff};  // a NaN in every type

  static int64_t bytes_of(const Value& value) { return value.shape.numel() * static_cast<int64_t>(dtype_bytes(value.dtype)); }

  void check_guards() {
    const auto intact = [](const std::vector<std::byte>& bytes, int64_t first, int64_t end) {
      return std::all_of(bytes.begin() + first, bytes.begin() + end, [](std::byte b) { return b == kPoison; });
    };
    std::vector<std::byte> bytes(arena_.bytes());
    device_.download(bytes.data(), arena_.data(), bytes.size());
    for (const auto& [first, end] : guards_) EXPECT_TRUE(intact(bytes, first, end)) << "written behind a temporary";
    for (const auto& [id, buffer] : buffers_) {
      bytes.resize(buffer.bytes());
      device_.download(bytes.data(), buffer.data(), bytes.size());
      const int64_t end = kGuard + bytes_of(c_.graph.value(id));
      EXPECT_TRUE(intact(bytes, 0, kGuard)) << "written before " << c_.graph.value(id).name;
      EXPECT_TRUE(intact(bytes, end, end + kGuard)) << "written behind " << c_.graph.value(id).name;
    }
  }

  const CaseGraph& c_;
  Device& device_;
  Buffer arena_;
  std::map<ValueId, Buffer> buffers_;
  std::vector<std::pair<int64_t, int64_t>> guards_;  // of the arena
  std::unique_ptr<Executor> executor_;
};

class CudaOpTest : public ::testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    if (card() == nullptr) GTEST_SKIP() << "no CUDA card: nothing of graph/cuda was tested";
  }
  const OpCase& op_case() const { return table()[GetParam()]; }
  CaseGraph build(DType dtype, int repeat = 1) const {
    return build_case(op_case(), dtype, {0, op_case().windows}, true, repeat);
  }
};

Results run_on_cpu(const CaseGraph& c) {
  const std::unique_ptr<Device> cpu = make_device("cpu", 2);
  return run_case(c, *cpu);
}

void expect_close(const Results& found, const Results& expected, double tolerance) {
  for (const auto& [name, values] : expected) {
    const double error = relative_error(found.at(name), values);
    EXPECT_LT(error, tolerance) << name;
    std::ostringstream text;
    text << error;
    ::testing::Test::RecordProperty(name, text.str());
  }
}

TEST_P(CudaOpTest, Fp32IsCloseToTheCpusFp64) {
  for (const int repeat : {1, 2}) {  // 2: gradients are added up
    const CaseGraph c = build(DType::kF32, repeat);
    expect_close(GuardedCase(c, *card()).run(), run_on_cpu(build(DType::kF64, repeat)), kFp32Slack * op_case().tolerance);
  }
}

TEST_P(CudaOpTest, Bf16IsCloseToFp32OnTheSameValues) {
  for (const int repeat : {1, 2}) {
    const CaseGraph c = build(DType::kBF16, repeat);
    CaseGraph exact = build(DType::kF32, repeat);
    ASSERT_EQ(exact.graph.values().size(), c.graph.values().size());
    exact.bound = c.bound;
    expect_close(GuardedCase(c, *card()).run(), run_on_cpu(exact), std::max(kBf16Tolerance, 2 * op_case().tolerance));
  }
}

// The second run captures a CUDA graph and replays it, the third replays it again.
TEST_P(CudaOpTest, RunsRepeatBitByBit) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const CaseGraph c = build(dtype);
    GuardedCase guarded(c, *card());
    const Results first = guarded.run();
    for (int i = 0; i < 2; ++i) {
      const Results again = guarded.run();
      for (const auto& [name, values] : first) EXPECT_TRUE(same_bits(again.at(name), values)) << name << ", run " << i + 2;
    }
  }
}

// Windows computed alone, or in another company and place, have the bits that they have among all.
TEST_P(CudaOpTest, WindowsDoNotSeeEachOther) {
  const int64_t all = op_case().windows;
  if (all == 1) return;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Results expected = run_case(build_case(op_case(), dtype, {0, all}, false), *card());
    for (const WindowRange range : {WindowRange{all - 1, 1}, WindowRange{1, all / 2}, WindowRange{0, all - 1}}) {
      const CaseGraph part = build_case(op_case(), dtype, range, false);
      const Results found = run_case(part, *card());
      for (const CaseGraph::Result& r : part.results) {
        if (!r.per_window) continue;
        const std::vector<double>& whole = expected.at(r.name);
        const int64_t size = static_cast<int64_t>(whole.size()) / all;
        const std::vector<double> same(whole.begin() + range.first * size, whole.begin() + (range.first + range.count) * size);
        EXPECT_TRUE(same_bits(found.at(r.name), same)) << r.name << ", windows from " << range.first << ", " << range.count;
      }
    }
  }
}

std::vector<size_t> all_indices() {
  std::vector<size_t> indices(table().size());
  for (size_t i = 0; i < indices.size(); ++i) indices[i] = i;
  return indices;
}

INSTANTIATE_TEST_SUITE_P(Table, CudaOpTest, ::testing::ValuesIn(all_indices()),
                         [](const auto& tested) { return table()[tested.param].name; });

// The last queries of a window alone have the bits that they have among all queries.
TEST(CudaAttention, TailQueriesHaveTheSameBits) {
  if (card() == nullptr) GTEST_SKIP() << "no CUDA card";
  const int64_t windows = 2, seq = 450, heads = 4, kv_heads = 2, dim = 64;
  const auto run = [&](int64_t query_rows, bool xsa) {
    CaseBuilder c(DType::kBF16, {0, windows}, false);
    const ValueId q = c.b.tail_rows(c.given_rows("q", seq, heads * dim), seq, query_rows);
    const ValueId k = c.given_rows("k", seq, kv_heads * dim), v = c.given_rows("v", seq, kv_heads * dim);
    const AttentionShape shape{heads, kv_heads, seq, query_rows};
    const ValueId y = xsa ? c.b.attention_xsa(q, k, v, shape, 0.25, false) : c.b.attention(q, k, v, shape, 0.25);
    c.output(query_rows == seq ? c.b.tail_rows(y, seq, 70) : y, false);
    return run_case(c.finish(), *card()).at("out.0");
  };
  for (const bool xsa : {false, true}) EXPECT_TRUE(same_bits(run(70, xsa), run(seq, xsa))) << xsa;
}

// Whoever makes z, a kernel as it writes or a pass of its own, takes y as it is stored.
TEST(CudaAttention, XsaInItHasTheBitsOfXsaBehindIt) {
  if (card() == nullptr) GTEST_SKIP() << "no CUDA card";
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const AttentionShape s : {AttentionShape{4, 2, 450, 70}, {3, 3, 200, 200}, {8, 2, 130, 130}}) {
      CaseBuilder c(dtype, {0, 2}, false);
      const ValueId q = c.given_rows("q", s.query_rows, s.heads * 64);
      const ValueId k = c.given_rows("k", s.seq, s.kv_heads * 64), v = c.given_rows("v", s.seq, s.kv_heads * 64);
      c.output(c.b.attention_xsa(q, k, v, s, 0.25, true), false);
      const ValueId own = c.b.tail_rows(v, s.seq, s.query_rows);
      c.output(c.b.xsa(c.b.attention(q, k, v, s, 0.25), own, s.heads, s.kv_heads), false);
      const Results found = run_case(c.finish(), *card());
      EXPECT_TRUE(same_bits(found.at("out.0"), found.at("out.1"))) << s.heads << " heads of " << s.query_rows << " queries";
    }
  }
}

TEST(CudaDevice, HashesLeavesAsTheCpuDoes) {
  if (card() == nullptr) GTEST_SKIP() << "no CUDA card";
  const auto cpu = make_device("cpu", 2);
  for (const size_t bytes : {size_t{4}, kLeafBytes, 37 * kLeafBytes + 60}) {
    std::vector<uint32_t> words(bytes / 4);
    for (size_t i = 0; i < words.size(); ++i) words[i] = static_cast<uint32_t>(i * 2654435761u + 1);
    const Buffer buffer = card()->allocate(bytes);
    card()->upload(buffer.data(), words.data(), bytes);
    EXPECT_EQ(card()->leaf_digests(buffer.data(), bytes), cpu->leaf_digests(words.data(), bytes)) << bytes;
  }
}

TEST(CudaDevice, RefusesMoreMemoryThanThereIs) {
  if (card() == nullptr) GTEST_SKIP() << "no CUDA card";
  try {
    card()->allocate(size_t{1} << 50);
    ADD_FAILURE() << "a petabyte was granted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("1125899906842624 bytes wanted"), std::string::npos) << error.what();
  }
  EXPECT_EQ(card()->allocate(1000).bytes(), 1000u);  // and the card still works
}

}  // namespace
}  // namespace sixteen::testing
