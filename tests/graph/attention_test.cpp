// Attention against plain fp64, its gradients against finite differences, and what its bits may depend on.
//
// The reference is two loops of this file; it shares nothing with the kernels. Tolerances: fp32 sums of up to 200 terms
// of size 1 err by some 1e-6; gradients pass through two such sums and are up to 10 in size.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "graph/cpu/gemm.h"
#include "graph/cpu/kernels.h"
#include "tests/support/values.h"

namespace sixteen::cpu {
namespace {

using sixteen::testing::random_values;
using sixteen::testing::largest_difference;
using sixteen::testing::same_bits;

constexpr AttentionDims kShapes[] = {
    {2, 5, 5, 2, 1, 8},    {1, 64, 64, 4, 2, 16}, {2, 130, 130, 4, 2, 64}, {1, 200, 70, 2, 2, 40},
    {1, 97, 1, 4, 1, 128}, {3, 65, 65, 6, 2, 24}, {1, 129, 3, 2, 1, 20},   {1, 1, 1, 1, 1, 64},
};

template <class T>
struct Case {
  AttentionDims d;
  T scale = T(0.3);
  std::vector<T> q, k, v, dy, y, lse, dq, dk, dv;

  explicit Case(const AttentionDims& dims) : d(dims) {
    const int64_t queries = d.windows * d.query_rows * d.heads, keys = d.windows * d.seq * d.kv_heads;
    q = random_values<T>(queries * d.head_dim, 11, 2);
    k = random_values<T>(keys * d.head_dim, 12, 2);
    v = random_values<T>(keys * d.head_dim, 13);
    dy = random_values<T>(queries * d.head_dim, 14);
    y.assign(q.size(), T(NAN));
    lse.assign(static_cast<size_t>(queries), T(NAN));
    dq = random_values<T>(queries * d.head_dim, 15);
    dk = random_values<T>(keys * d.head_dim, 16);
    dv = random_values<T>(keys * d.head_dim, 17);
  }
  void forward(ThreadPool& pool) { attention<T>(pool, q.data(), k.data(), v.data(), y.data(), lse.data(), d, scale); }
  void backward(ThreadPool& pool, bool add) {
    attention_grad<T>(pool, q.data(), k.data(), v.data(), y.data(), lse.data(), dy.data(), dq.data(), add, dk.data(),
                      add, dv.data(), add, d, scale);
  }
};

struct Reference {
  std::vector<double> y, lse;
};

template <class T>
Reference reference(const Case<T>& c) {
  const AttentionDims& d = c.d;
  Reference r = {std::vector<double>(c.q.size()), std::vector<double>(c.lse.size())};
  for (int64_t w = 0; w < d.windows; ++w) {
    for (int64_t h = 0; h < d.heads; ++h) {
      for (int64_t i = 0; i < d.query_rows; ++i) {
        const int64_t keys = d.seq - d.query_rows + i + 1, g = h / (d.heads / d.kv_heads);
        const int64_t query = ((w * d.query_rows + i) * d.heads + h) * d.head_dim;
        std::vector<double> weight(static_cast<size_t>(keys));
        double sum = 0;
        for (int64_t j = 0; j < keys; ++j) {
          double score = 0;
          for (int64_t e = 0; e < d.head_dim; ++e) {
            score += double(c.q[query + e]) * double(c.k[((w * d.seq + j) * d.kv_heads + g) * d.head_dim + e]);
          }
          weight[j] = std::exp(double(c.scale) * score);
          sum += weight[j];
        }
        for (int64_t j = 0; j < keys; ++j) {
          for (int64_t e = 0; e < d.head_dim; ++e) {
            r.y[query + e] += weight[j] / sum * double(c.v[((w * d.seq + j) * d.kv_heads + g) * d.head_dim + e]);
          }
        }
        r.lse[(w * d.heads + h) * d.query_rows + i] = std::log(sum);
      }
    }
  }
  return r;
}

std::string name(const AttentionDims& d) {
  return std::to_string(d.windows) + " x " + std::to_string(d.seq) + ", " + std::to_string(d.query_rows) +
         " queries, " + std::to_string(d.heads) + "/" + std::to_string(d.kv_heads) + " heads of " +
         std::to_string(d.head_dim);
}

TEST(Attention, AgreesWithPlainFp64) {
  ThreadPool pool(2);
  for (const AttentionDims& d : kShapes) {
    SCOPED_TRACE(name(d));
    Case<float> f(d);
    f.forward(pool);
    const Reference expected = reference(f);
    EXPECT_LT(largest_difference(f.y, expected.y), 3e-6);
    EXPECT_LT(largest_difference(f.lse, expected.lse), 5e-6);
    Case<double> g(d);
    g.forward(pool);
    const Reference expected64 = reference(g);
    EXPECT_LT(largest_difference(g.y, expected64.y), 1e-13);
    EXPECT_LT(largest_difference(g.lse, expected64.lse), 1e-13);
  }
}

TEST(Attention, LargeScoresDoNotOverflow) {
  ThreadPool pool(1);
  Case<float> c({1, 150, 150, 1, 1, 8});
  for (float& x : c.q) x *= 100;  // scores up to +-500
  c.forward(pool);
  const Reference expected = reference(c);
  EXPECT_LT(largest_difference(c.y, expected.y),
            1e-3);  // a score of 500 has an fp32 spacing of 3e-5, and sums of 8 err more
  EXPECT_LT(largest_difference(c.lse, expected.lse), 1e-3);
}

TEST(Attention, GradientsAgreeWithFiniteDifferences) {
  ThreadPool pool(2);
  Case<double> c({1, 70, 70, 4, 2, 8});
  c.forward(pool);
  c.backward(pool, false);
  const auto loss = [&] {
    const Reference r = reference(c);
    double sum = 0;
    for (size_t i = 0; i < r.y.size(); ++i) sum += r.y[i] * c.dy[i];
    return sum;
  };
  const double h = 1e-5;
  const auto check = [&](std::vector<double>& x, const std::vector<double>& gradient, const char* what) {
    for (size_t i = 0; i < x.size(); i += 37) {
      const double kept = x[i];
      x[i] = kept + h;
      const double up = loss();
      x[i] = kept - h;
      const double down = loss();
      x[i] = kept;
      EXPECT_NEAR((up - down) / (2 * h), gradient[i], 1e-8) << what << " element " << i;
    }
  };
  check(c.q, c.dq, "dq");
  check(c.k, c.dk, "dk");
  check(c.v, c.dv, "dv");
}

TEST(Attention, Fp32GradientsAgreeWithFp64) {
  ThreadPool pool(2);
  for (AttentionDims d : kShapes) {
    d.query_rows = d.seq;
    for (const bool add : {false, true}) {
      SCOPED_TRACE(name(d) + (add ? ", added" : ""));
      Case<float> f(d);
      Case<double> g(d);
      f.forward(pool);
      f.backward(pool, add);
      g.scale = double(f.scale);
      g.forward(pool);
      g.backward(pool, add);
      EXPECT_LT(largest_difference(f.dq, g.dq), 3e-5);
      EXPECT_LT(largest_difference(f.dk, g.dk), 3e-5);
      EXPECT_LT(largest_difference(f.dv, g.dv), 3e-5);
    }
  }
}

TEST(Attention, AddedGradientsAreTheOverwrittenOnesPlusWhatWasThere) {
  ThreadPool pool(1);
  Case<double> over({2, 70, 70, 4, 2, 8}), added({2, 70, 70, 4, 2, 8});
  const Case<double> before({2, 70, 70, 4, 2, 8});
  over.forward(pool);
  added.forward(pool);
  over.backward(pool, false);
  added.backward(pool, true);
  for (size_t i = 0; i < over.dq.size(); ++i) EXPECT_NEAR(added.dq[i], before.dq[i] + over.dq[i], 1e-12);
  for (size_t i = 0; i < over.dk.size(); ++i) {
    EXPECT_NEAR(added.dk[i], before.dk[i] + over.dk[i], 1e-12);
    EXPECT_NEAR(added.dv[i], before.dv[i] + over.dv[i], 1e-12);
  }
}

TEST(Attention, BitsDoNotDependOnThreadsOrInstructionSet) {
  for (AttentionDims d : kShapes) {
    SCOPED_TRACE(name(d));
    ThreadPool one(1);
    Case<float> expected(d);
    const bool gradients = d.query_rows == d.seq;
    expected.forward(one);
    if (gradients) expected.backward(one, true);
    const std::string best = isa_name();
    for (const char* set : {"plain", "avx2", "avx512"}) {
      if (!set_isa(set)) continue;
      for (const int threads : {1, 2, 3}) {
        ThreadPool pool(threads);
        Case<float> c(d);
        c.forward(pool);
        if (gradients) c.backward(pool, true);
        EXPECT_TRUE(same_bits(c.y, expected.y) && same_bits(c.lse, expected.lse))
            << set << ", " << threads << " threads";
        EXPECT_TRUE(same_bits(c.dq, expected.dq) && same_bits(c.dk, expected.dk) && same_bits(c.dv, expected.dv))
            << set << ", " << threads << " threads";
      }
    }
    ASSERT_TRUE(set_isa(best.c_str()));
  }
}

TEST(Attention, RowsDoNotDependOnTheWindowsBeside) {
  ThreadPool pool(2);
  const AttentionDims d = {3, 130, 130, 4, 2, 24};
  Case<float> all(d);
  all.forward(pool);
  const size_t q_size = all.q.size() / 3, k_size = all.k.size() / 3, l_size = all.lse.size() / 3;
  for (size_t w = 0; w < 3; ++w) {
    Case<float> one({1, 130, 130, 4, 2, 24});
    std::copy_n(all.q.begin() + w * q_size, q_size, one.q.begin());
    std::copy_n(all.k.begin() + w * k_size, k_size, one.k.begin());
    std::copy_n(all.v.begin() + w * k_size, k_size, one.v.begin());
    one.forward(pool);
    EXPECT_EQ(std::memcmp(one.y.data(), all.y.data() + w * q_size, q_size * sizeof(float)), 0) << "window " << w;
    EXPECT_EQ(std::memcmp(one.lse.data(), all.lse.data() + w * l_size, l_size * sizeof(float)), 0) << "window " << w;
  }
}

TEST(Attention, RowsDoNotDependOnHowManyQueriesAreAsked) {
  ThreadPool pool(2);
  for (const int64_t query_rows : {1, 2, 5, 63, 64, 65, 100, 149}) {
    Case<float> all({1, 150, 150, 4, 2, 40}), few({1, 150, query_rows, 4, 2, 40});
    const size_t size = few.q.size(), from = all.q.size() - size;
    std::copy_n(all.q.begin() + from, size, few.q.begin());
    all.forward(pool);
    few.forward(pool);
    EXPECT_EQ(std::memcmp(few.y.data(), all.y.data() + from, size * sizeof(float)), 0) << query_rows << " queries";
    for (int64_t h = 0; h < 4; ++h) {
      EXPECT_EQ(std::memcmp(few.lse.data() + h * query_rows, all.lse.data() + (h + 1) * 150 - query_rows,
                            static_cast<size_t>(query_rows) * sizeof(float)),
                0)
          << query_rows << " queries";
    }
  }
}

TEST(Attention, RowsDoNotSeeLaterKeysNorHowManyThereAre) {
  ThreadPool pool(2);
  Case<float> all({1, 150, 150, 2, 1, 24});
  all.forward(pool);
  for (const int64_t rows : {1, 6, 7, 61, 64, 66, 128, 149}) {
    Case<float> changed({1, 150, 150, 2, 1, 24}), cut({1, rows, rows, 2, 1, 24});
    for (int64_t i = rows * 24; i < 150 * 24; ++i)
      changed.k[i] = changed.v[i] = std::numeric_limits<float>::quiet_NaN();
    std::copy_n(all.q.begin(), cut.q.size(), cut.q.begin());
    std::copy_n(all.k.begin(), cut.k.size(), cut.k.begin());
    std::copy_n(all.v.begin(), cut.v.size(), cut.v.begin());
    changed.forward(pool);
    cut.forward(pool);
    const size_t bytes = cut.y.size() * sizeof(float);
    EXPECT_EQ(std::memcmp(changed.y.data(), all.y.data(), bytes), 0) << rows << " rows";
    EXPECT_EQ(std::memcmp(cut.y.data(), all.y.data(), bytes), 0) << rows << " rows";
  }
}

}  // namespace
}  // namespace sixteen::cpu
