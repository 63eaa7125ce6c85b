// The GEMM against the plain chain of gemm.h, bit for bit: transpositions, odd sizes, strides, accumulation, every
// instruction set, several thread counts; and what follows from it, that a row does not depend on the rows beside it.
//
// Bites: equality is exact on purpose. A tolerance here would hide what all scores rely on.
#include "graph/cpu/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "graph/cpu/gemm_tile.h"

namespace sixteen::cpu {
namespace {

constexpr const char* kIsas[] = {"plain", "avx2", "avx512"};

template <class T>
std::vector<T> random_matrix(int64_t numbers, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<T> normal;
  std::vector<T> values(static_cast<size_t>(numbers));
  for (T& value : values) value = normal(random);
  return values;
}

struct Shape {
  int64_t m, n, k;
};

// One product with padded leading dimensions, its operands, and the plain chain's result.
template <class T>
struct Problem {
  Problem(Shape s, bool a_transposed, bool b_transposed, bool add)
      : shape(s),
        ta(a_transposed),
        tb(b_transposed),
        accumulate(add),
        lda((ta ? s.m : s.k) + 3),
        ldb((tb ? s.k : s.n) + 5),
        ldc(s.n + 2),
        a(random_matrix<T>((ta ? s.k : s.m) * lda, 1)),
        b(random_matrix<T>((tb ? s.n : s.k) * ldb, 2)),
        c(random_matrix<T>(s.m * ldc, 3)),
        want(c) {
    for (int64_t i = 0; i < s.m; ++i) {
      for (int64_t j = 0; j < s.n; ++j) {
        T chain = accumulate ? want[static_cast<size_t>(i * ldc + j)] : T(0);
        for (int64_t step = 0; step < s.k; ++step) {
          chain = std::fma(a[static_cast<size_t>(ta ? step * lda + i : i * lda + step)],
                           b[static_cast<size_t>(tb ? j * ldb + step : step * ldb + j)], chain);
        }
        want[static_cast<size_t>(i * ldc + j)] = chain;
      }
    }
  }

  std::string name() const {
    return std::to_string(shape.m) + "x" + std::to_string(shape.n) + "x" + std::to_string(shape.k) +
           (ta ? " T" : " N") + (tb ? "T" : "N") + (accumulate ? " accumulate" : "");
  }

  Shape shape;
  bool ta, tb, accumulate;
  int64_t lda, ldb, ldc;
  std::vector<T> a, b, c, want;
};

template <class T>
bool same_bits(const std::vector<T>& x, const std::vector<T>& y) {
  return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(T)) == 0;
}

template <class T>
void check(ThreadPool& pool, const Problem<T>& p) {
  std::vector<T> got = p.c;
  gemm(pool, p.ta, p.tb, p.shape.m, p.shape.n, p.shape.k, p.a.data(), p.lda, p.b.data(), p.ldb, got.data(), p.ldc,
       p.accumulate);
  ASSERT_TRUE(same_bits(got, p.want)) << p.name() << " on " << isa_name() << ", " << pool.threads()
                                      << " threads";  // gaps included
  got = p.c;
  gemm_tile(p.ta, p.tb, p.shape.m, p.shape.n, p.shape.k, p.a.data(), p.lda, p.b.data(), p.ldb, got.data(), p.ldc,
            p.accumulate);
  ASSERT_TRUE(same_bits(got, p.want)) << "gemm_tile " << p.name() << " on " << isa_name();
}

template <class T>
void check_everywhere(Shape shape) {
  static ThreadPool one(1), two(2), three(3), seven(7);
  const char* before = isa_name();
  for (int flags = 0; flags < 8; ++flags) {
    const Problem<T> problem(shape, flags & 1, flags & 2, flags & 4);
    for (const char* isa : kIsas) {
      if (!set_isa(isa)) continue;
      for (ThreadPool* pool : {&one, &two, &three, &seven}) check(*pool, problem);
      if (testing::Test::HasFatalFailure()) break;
    }
    set_isa(before);
  }
}

constexpr Shape kShapes[] = {
    {1, 1, 1},     {1, 16, 16},  {1, 33, 300}, {2, 31, 17},  {3, 7, 5},    {5, 100, 64}, {8, 64, 256},  {13, 32, 257},
    {14, 32, 256}, {15, 33, 15}, {28, 48, 33}, {57, 65, 40}, {64, 64, 64}, {113, 17, 5}, {120, 1, 300}, {130, 97, 270},
};

TEST(Gemm, GivesTheBitsOfThePlainChain) {
  for (const Shape& shape : kShapes) {
    check_everywhere<float>(shape);
    if (HasFatalFailure()) return;
  }
}

TEST(Gemm, GivesTheBitsOfThePlainChainInDouble) {
  for (const Shape& shape : kShapes) {
    check_everywhere<double>(shape);
    if (HasFatalFailure()) return;
  }
}

// Deep enough that B is packed in several goes, wide enough for many column blocks.
TEST(Gemm, LargeProducts) {
  const Problem<float> deep({60, 600, 5000}, true, false, true);
  const Problem<float> wide({60, 9000, 40}, false, true, false);
  ThreadPool pool(3);
  check(pool, deep);
  check(pool, wide);
}

TEST(Gemm, EmptyProducts) {
  ThreadPool pool(2);
  std::vector<float> a(12, 1.0f), b(12, 1.0f), c = {1, 2, 3, 4, 5, 6}, untouched = c;
  gemm(pool, false, false, 0, 3, 4, a.data(), 4, b.data(), 3, c.data(), 3, false);
  gemm(pool, false, false, 2, 0, 4, a.data(), 4, b.data(), 3, c.data(), 3, false);
  gemm(pool, false, false, 2, 2, 0, a.data(), 4, b.data(), 3, c.data(), 3, true);
  EXPECT_EQ(c, untouched);
  gemm(pool, false, true, 2, 2, 0, a.data(), 4, b.data(), 3, c.data(), 3, false);
  EXPECT_EQ(c, (std::vector<float>{0, 0, 3, 0, 0, 6}));
  gemm_tile(true, true, 1, 3, 0, a.data(), 4, b.data(), 3, c.data(), 3, false);
  EXPECT_EQ(c, (std::vector<float>{0, 0, 0, 0, 0, 6}));
}

TEST(Gemm, ARowDoesNotDependOnItsNeighbours) {
  const int64_t m = 150, n = 70, k = 300;
  const std::vector<float> a = random_matrix<float>(m * k, 5), b = random_matrix<float>(n * k, 6);
  std::vector<float> all(static_cast<size_t>(m * n)), row(static_cast<size_t>(n));
  ThreadPool many(7), one(1);
  gemm(many, false, true, m, n, k, a.data(), k, b.data(), k, all.data(), n, false);
  for (int64_t i = 0; i < m; ++i) {
    gemm(one, false, true, 1, n, k, a.data() + i * k, k, b.data(), k, row.data(), n, false);
    for (int64_t j = 0; j < n; ++j) ASSERT_EQ(all[static_cast<size_t>(i * n + j)], row[static_cast<size_t>(j)]) << i;
  }
}

TEST(Gemm, NonFiniteOperandsStayInTheirRowAndColumn) {
  const int64_t m = 20, n = 37, k = 50;
  std::vector<float> a = random_matrix<float>(m * k, 5), b = random_matrix<float>(n * k, 6);
  a[3 * k + 7] = std::numeric_limits<float>::infinity();
  b[36 * k + 2] = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> c(static_cast<size_t>(m * n));
  ThreadPool pool(2);
  gemm(pool, false, true, m, n, k, a.data(), k, b.data(), k, c.data(), n, false);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) EXPECT_EQ(std::isfinite(c[static_cast<size_t>(i * n + j)]), i != 3 && j != 36);
  }
}

TEST(GemmTile, APackedBServesManyProducts) {
  const char* before = isa_name();
  for (const char* isa : kIsas) {
    if (!set_isa(isa)) continue;
    for (bool tb : {false, true}) {
      const Problem<float> p({70, 45, 600}, false, tb, true);
      std::vector<float> packed(static_cast<size_t>(packed_b_size<float>(p.shape.n, p.shape.k)));
      pack_b(tb, p.shape.n, p.shape.k, p.b.data(), p.ldb, packed.data());
      std::vector<float> got = p.c;
      for (int64_t row = 0; row < p.shape.m; row += 9) {
        gemm_packed(false, std::min<int64_t>(9, p.shape.m - row), p.shape.n, p.shape.k, p.a.data() + row * p.lda, p.lda,
                    packed.data(), got.data() + row * p.ldc, p.ldc, true);
      }
      EXPECT_EQ(got, p.want) << isa << (tb ? " transposed" : "");
    }
  }
  set_isa(before);
}

}  // namespace
}  // namespace sixteen::cpu
