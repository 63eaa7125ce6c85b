// Softcap, negative log-likelihoods and their gradients against plain fp64 and finite differences, and what their bits
// may depend on.
//
// The references are loops of this file and share nothing with the kernels. Tolerances: a logit of 30 has an fp32
// spacing of 2e-6 and sums 64 products; nll takes the difference of two such numbers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "graph/cpu/gemm.h"
#include "graph/cpu/kernels.h"
#include "tests/support/values.h"

namespace sixteen::cpu {
namespace {

using sixteen::testing::random_values;

double capped(double z, double cap) { return cap > 0 ? cap * std::tanh(z / cap) : z; }

template <class T>
struct Case {
  int64_t rows, dim, vocab;
  T cap;
  std::vector<T> x, table, weight, nll, dx, dtable;
  std::vector<int32_t> targets;

  // Logits up to some 20 in size.
  Case(int64_t r, int64_t d, int64_t v, T c, double size = 3) : rows(r), dim(d), vocab(v), cap(c) {
    x = random_values<T>(rows * dim, 1, size);
    table = random_values<T>(vocab * dim, 2, 3);
    weight = random_values<T>(rows, 3, 1);
    weight[0] = 0;
    nll.assign(static_cast<size_t>(rows), T(NAN));
    dx.assign(x.size(), T(NAN));
    dtable = random_values<T>(vocab * dim, 4, 1);
    for (int64_t i = 0; i < rows; ++i) targets.push_back(static_cast<int32_t>(i * 31 % vocab));
  }
  void score(ThreadPool& pool, bool round_bf16 = false) {
    head_nll<T>(pool, x.data(), table.data(), targets.data(), nll.data(), rows, dim, vocab, cap, round_bf16);
  }
  void loss(ThreadPool& pool, bool with_table = true) {
    head_loss<T>(pool, x.data(), table.data(), targets.data(), weight.data(), nll.data(), dx.data(),
                 with_table ? dtable.data() : nullptr, rows, dim, vocab, cap);
  }
};

template <class T>
double reference_nll(const Case<T>& c, int64_t row, bool round_bf16 = false) {
  std::vector<double> logits(static_cast<size_t>(c.vocab));
  for (int64_t j = 0; j < c.vocab; ++j) {
    double z = 0;
    for (int64_t k = 0; k < c.dim; ++k) z += double(c.x[row * c.dim + k]) * double(c.table[j * c.dim + k]);
    logits[j] = capped(z, c.cap);
    if (round_bf16) {  // by arithmetic, not by bits: to a multiple of 2^(exponent - 7)
      int exponent;
      std::frexp(logits[j], &exponent);
      const double step = std::ldexp(1.0, exponent - 8);
      logits[j] = std::nearbyint(logits[j] / step) * step;
    }
  }
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const double l : logits) sum += std::exp(l - highest);
  return highest + std::log(sum) - logits[c.targets[row]];
}

TEST(Softcap, AgreesWithPlainFp64) {
  ThreadPool pool(2);
  for (const float cap : {30.0f, 0.0f}) {
    const auto z = random_values<float>(10001, 1, 100), dy = random_values<float>(10001, 2, 1);
    std::vector<float> y(z.size()), dz = dy;
    softcap<float>(pool, z.data(), y.data(), cap, z.size());
    softcap_grad<float>(pool, z.data(), dy.data(), dz.data(), true, cap, z.size());
    for (size_t i = 0; i < z.size(); ++i) {
      ASSERT_NEAR(y[i], capped(z[i], cap), 6e-6) << z[i];
      const double t = std::tanh(double(z[i]) / cap), slope = cap > 0 ? 1 - t * t : 1;
      ASSERT_NEAR(dz[i], dy[i] * (1 + slope), 1e-6) << z[i];
    }
  }
}

TEST(HeadNll, AgreesWithPlainFp64) {
  ThreadPool pool(2);
  for (const double cap : {30.0, 5.0, 0.0}) {
    for (const int64_t vocab : {1, 15, 77, 1024}) {
      Case<float> f(9, 64, vocab, static_cast<float>(cap));
      Case<double> d(9, 64, vocab, cap);
      f.score(pool);
      d.score(pool);
      for (int64_t i = 0; i < 9; ++i) {
        EXPECT_NEAR(f.nll[i], reference_nll(f, i), 2e-5) << "cap " << cap << ", vocabulary " << vocab;
        EXPECT_NEAR(d.nll[i], reference_nll(d, i), 1e-12) << "cap " << cap << ", vocabulary " << vocab;
      }
    }
  }
}

TEST(HeadNll, LargeLogitsWithoutCapDoNotOverflow) {
  ThreadPool pool(1);
  Case<float> c(5, 64, 100, 0, 200);
  c.score(pool);
  for (int64_t i = 0; i < 5; ++i) EXPECT_NEAR(c.nll[i], reference_nll(c, i), 2e-3) << "of logits about 1000";
}

// A logit within an fp32 rounding of the middle between two bf16 values may go either way: a step of 0.125 in one of
// 300.
TEST(HeadNll, RoundsLogitsToBf16WhenAsked) {
  ThreadPool pool(1);
  Case<float> rounded(50, 64, 300, 30), plain(50, 64, 300, 30);
  Case<double> rounded64(50, 64, 300, 30);
  rounded.score(pool, true);
  rounded64.score(pool, true);
  plain.score(pool, false);
  int differ = 0, off = 0;
  for (int64_t i = 0; i < 50; ++i) {
    const double expected = reference_nll(rounded, i, true);
    differ += std::fabs(plain.nll[i] - expected) > 1e-3;
    off += std::fabs(rounded.nll[i] - expected) > 2e-5;
    EXPECT_NEAR(rounded64.nll[i], reference_nll(rounded64, i, true), 1e-12);
  }
  EXPECT_GT(differ, 25);
  EXPECT_LE(off, 2);
}

// Every column to its own size; every third row has no hint. Ranks are whole numbers and exact.
TEST(HeadHints, AgreeWithPlainFp64) {
  ThreadPool pool(2);
  for (const bool round : {false, true}) {
    for (const int64_t vocab : {1, 15, 77, 1024}) {
      Case<double> d(9, 64, vocab, 5);
      d.score(pool, round);
      std::vector<int32_t> hints;
      for (int64_t i = 0; i < 9; ++i) hints.push_back(i % 3 == 0 ? -1 : static_cast<int32_t>(i * 17 % vocab));
      std::vector<double> stats(9 * 4, NAN);
      head_hints<double>(pool, d.x.data(), d.table.data(), d.targets.data(), hints.data(), stats.data(), 9, 64, vocab, 5, round);
      Case<double> hinted = d;
      for (int64_t i = 0; i < 9; ++i) hinted.targets[i] = std::max(hints[i], 0);
      for (int64_t i = 0; i < 9; ++i) {
        const double* row = &stats[i * 4];
        EXPECT_NEAR(row[0], reference_nll(d, i, round), 1e-12);
        double entropy = 0;
        int64_t rank = 0;
        const double own = reference_nll(hinted, i, round);
        for (int32_t id = 0; id < vocab; ++id) {
          Case<double> other = d;
          other.targets[i] = id;
          const double nll = reference_nll(other, i, round);
          entropy += std::exp(-nll) * nll;
          rank += nll < own - 1e-13 || (std::fabs(nll - own) <= 1e-13 && id < hints[i]);
        }
        EXPECT_NEAR(row[2], entropy, 1e-11);
        EXPECT_NEAR(row[1], hints[i] < 0 ? 0 : own, 1e-12);
        EXPECT_EQ(row[3], hints[i] < 0 ? 0 : static_cast<double>(rank)) << "vocabulary " << vocab << ", rounded " << round;
      }
    }
  }
}

TEST(HeadLoss, GradientsAgreeWithFiniteDifferences) {
  ThreadPool pool(2);
  for (const double cap : {4.0, 0.0}) {
    Case<double> c(7, 10, 37, cap, 0.5);
    const std::vector<double> before = c.dtable;
    c.loss(pool);
    const auto total = [&] {
      double sum = 0;
      for (int64_t i = 0; i < c.rows; ++i) sum += c.weight[i] * reference_nll(c, i);
      return sum;
    };
    const auto check = [&](std::vector<double>& x, size_t i, double gradient, const char* what) {
      const double kept = x[i], h = 1e-5;
      x[i] = kept + h;
      const double up = total();
      x[i] = kept - h;
      const double down = total();
      x[i] = kept;
      EXPECT_NEAR((up - down) / (2 * h), gradient, 1e-8) << what << " element " << i;
    };
    for (size_t i = 0; i < c.x.size(); ++i) check(c.x, i, c.dx[i], "dx");
    for (size_t i = 0; i < c.table.size(); i += 3) check(c.table, i, c.dtable[i] - before[i], "dtable");
  }
}

TEST(HeadLoss, Fp32AgreesWithFp64AndWithHeadNll) {
  ThreadPool pool(2);
  Case<float> f(530, 32, 100, 30), scored(530, 32, 100, 30), no_table(530, 32, 100, 30);
  Case<double> d(530, 32, 100, 30);
  f.loss(pool);
  d.loss(pool);
  scored.score(pool);
  no_table.loss(pool, false);
  EXPECT_EQ(std::memcmp(f.nll.data(), scored.nll.data(), f.nll.size() * sizeof(float)), 0);
  EXPECT_EQ(std::memcmp(f.dx.data(), no_table.dx.data(), f.dx.size() * sizeof(float)), 0);
  for (size_t i = 0; i < f.nll.size(); ++i) ASSERT_NEAR(f.nll[i], d.nll[i], 2e-5);
  for (size_t i = 0; i < f.dx.size(); ++i) ASSERT_NEAR(f.dx[i], d.dx[i], 1e-5);
  for (size_t i = 0; i < f.dtable.size(); ++i) ASSERT_NEAR(f.dtable[i], d.dtable[i], 1e-4);  // 530 rows of size up to 3
}

TEST(Head, BitsDoNotDependOnThreadsOrInstructionSet) {
  const std::string best = isa_name();
  ThreadPool one(1);
  Case<float> expected(530, 24, 77, 30);
  expected.loss(one);
  Case<float> rounded(530, 24, 77, 30);
  rounded.score(one, true);
  for (const char* set : {"plain", "avx2", "avx512"}) {
    if (!set_isa(set)) continue;
    for (const int threads : {1, 2, 3}) {
      ThreadPool pool(threads);
      Case<float> c(530, 24, 77, 30);
      c.loss(pool);
      EXPECT_EQ(std::memcmp(c.nll.data(), expected.nll.data(), c.nll.size() * sizeof(float)), 0) << set << threads;
      EXPECT_EQ(std::memcmp(c.dx.data(), expected.dx.data(), c.dx.size() * sizeof(float)), 0) << set << threads;
      EXPECT_EQ(std::memcmp(c.dtable.data(), expected.dtable.data(), c.dtable.size() * sizeof(float)), 0)
          << set << threads;
      c.score(pool, true);
      EXPECT_EQ(std::memcmp(c.nll.data(), rounded.nll.data(), c.nll.size() * sizeof(float)), 0) << set << threads;
    }
  }
  ASSERT_TRUE(set_isa(best.c_str()));
}

TEST(HeadNll, RowsDoNotDependOnTheRowsBeside) {
  ThreadPool pool(2);
  Case<float> all(530, 24, 77, 30);
  all.score(pool);
  for (const int64_t from : {0, 1, 511, 512, 529}) {
    for (const int64_t rows : {int64_t{1}, std::min<int64_t>(7, 530 - from), 530 - from}) {
      std::vector<float> nll(static_cast<size_t>(rows));
      head_nll<float>(pool, all.x.data() + from * 24, all.table.data(), all.targets.data() + from, nll.data(), rows, 24,
                      77, 30, false);
      EXPECT_EQ(std::memcmp(nll.data(), all.nll.data() + from, nll.size() * sizeof(float)), 0)
          << rows << " rows from " << from;
    }
  }
}

}  // namespace
}  // namespace sixteen::cpu
