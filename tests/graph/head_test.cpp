// The ops of single heads (norm, XSA) and of the output head against plain fp64, their gradients against finite
// differences, and what their bits may depend on.
//
// The references are loops of this file and share nothing with the kernels. Tolerances: fp32 values of size up to 30
// have a spacing of 2e-6, of size 1 one of 1e-7; sums of 100 terms err some ten of these.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
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

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// Every `stride`-th element of `gradient` against the central difference of loss() in x.
void expect_gradient(std::vector<double>& x, const std::vector<double>& gradient, const std::function<double()>& loss,
                     size_t stride, const char* what) {
  const double h = 1e-5;
  for (size_t i = 0; i < x.size(); i += stride) {
    const double kept = x[i];
    x[i] = kept + h;
    const double up = loss();
    x[i] = kept - h;
    const double down = loss();
    x[i] = kept;
    EXPECT_NEAR((up - down) / (2 * h), gradient[i], 2e-8 * std::max(1.0, std::fabs(gradient[i])))
        << what << ", element " << i;
  }
}

// Calls compute() for every instruction set and 1 to 3 threads; its results must have the bits of the first call.
void expect_same_bits_everywhere(const std::function<std::vector<float>(ThreadPool&)>& compute) {
  const std::string best = isa_name();
  ThreadPool one(1);
  const std::vector<float> expected = compute(one);
  for (const char* set : {"plain", "avx2", "avx512"}) {
    if (!set_isa(set)) continue;
    for (const int threads : {1, 2, 3}) {
      ThreadPool pool(threads);
      EXPECT_TRUE(same_bits(compute(pool), expected)) << set << ", " << threads << " threads";
    }
  }
  ASSERT_TRUE(set_isa(best.c_str()));
}

void append(std::vector<float>& all, const std::vector<float>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

// ---- Head norm

constexpr HeadNormShape kNormShapes[] = {
    {6, 3, 8, 3, 2}, {300, 4, 64, 100, 8}, {10, 2, 20, 5, 5}, {7, 1, 128, 7, 64}, {9, 2, 24, 4, 0}};
constexpr double kEps = 1e-3;

template <class T>
struct NormCase {
  HeadNormShape s;
  std::vector<T> x, cos, sin, gain, dy, y, dx, dgain;

  explicit NormCase(const HeadNormShape& shape) : s(shape) {
    const int64_t count = s.rows * s.heads * s.head_dim;
    x = random_values<T>(count, 1, 3);
    cos = random_values<T>(s.seq * s.rope_half, 2);
    sin = random_values<T>(s.seq * s.rope_half, 3);
    gain = random_values<T>(s.heads, 4, 5);
    dy = random_values<T>(count, 5);
    dx = random_values<T>(count, 6);
    dgain = random_values<T>(s.heads, 7);
    y.assign(x.size(), T(NAN));
  }
  void forward(ThreadPool& pool, bool with_gain = true) {
    head_norm<T>(pool, x.data(), cos.data(), sin.data(), with_gain ? gain.data() : nullptr, y.data(), s, T(kEps));
  }
  void backward(ThreadPool& pool, bool add, bool with_gain = true) {
    head_norm_grad<T>(pool, x.data(), cos.data(), sin.data(), with_gain ? gain.data() : nullptr, dy.data(), dx.data(),
                      add, with_gain ? dgain.data() : nullptr, s, T(kEps));
  }
};

template <class T>
std::vector<double> norm_reference(const NormCase<T>& c, bool with_gain = true) {
  std::vector<double> y(c.x.begin(), c.x.end());
  const int64_t dh = c.s.head_dim, half = c.s.rope_half;
  for (int64_t i = 0; i < c.s.rows * c.s.heads; ++i) {
    double* row = y.data() + i * dh;
    double squares = 0;
    for (int64_t e = 0; e < dh; ++e) squares += row[e] * row[e];
    const double factor =
        (with_gain ? double(c.gain[i % c.s.heads]) : 1.0) / std::sqrt(squares / double(dh) + double(T(kEps)));
    for (int64_t e = 0; e < dh; ++e) row[e] *= factor;
    for (int64_t e = 0; e < half; ++e) {
      const double a = row[e], b = row[e + half];
      const double cos = c.cos[i / c.s.heads % c.s.seq * half + e], sin = c.sin[i / c.s.heads % c.s.seq * half + e];
      row[e] = a * cos + b * sin;
      row[e + half] = -a * sin + b * cos;
    }
  }
  return y;
}

TEST(HeadNorm, AgreesWithPlainFp64) {
  ThreadPool pool(2);
  for (const HeadNormShape& s : kNormShapes) {
    for (const bool with_gain : {true, false}) {
      NormCase<float> f(s);
      f.forward(pool, with_gain);
      EXPECT_LT(largest_difference(f.y, norm_reference(f, with_gain)), 5e-6) << "head dim " << s.head_dim;
      NormCase<double> d(s);
      d.forward(pool, with_gain);
      EXPECT_LT(largest_difference(d.y, norm_reference(d, with_gain)), 1e-13) << "head dim " << s.head_dim;
    }
  }
}

TEST(HeadNorm, GradientsAgreeWithFiniteDifferences) {
  ThreadPool pool(2);
  for (const HeadNormShape& s : kNormShapes) {
    NormCase<double> c(s);
    c.dgain.assign(c.dgain.size(), 0);
    c.backward(pool, false);
    const auto loss = [&] { return dot(norm_reference(c), c.dy); };
    const size_t stride = std::max<size_t>(1, c.x.size() / 40) | 1;
    expect_gradient(c.x, c.dx, loss, stride, "dx");
    expect_gradient(c.gain, c.dgain, loss, 1, "dgain");
    NormCase<double> added(s);
    const NormCase<double> before(s);
    added.backward(pool, true);
    for (size_t i = 0; i < c.dx.size(); ++i) ASSERT_NEAR(added.dx[i], before.dx[i] + c.dx[i], 1e-12);
    for (size_t i = 0; i < c.dgain.size(); ++i) ASSERT_NEAR(added.dgain[i], before.dgain[i] + c.dgain[i], 1e-10);
  }
}

TEST(HeadNorm, BitsDoNotDependOnThreadsOrInstructionSet) {
  for (const HeadNormShape& s : kNormShapes) {
    expect_same_bits_everywhere([&](ThreadPool& pool) {
      NormCase<float> c(s);
      c.forward(pool);
      c.backward(pool, true);
      std::vector<float> all = c.y;
      append(all, c.dx);
      append(all, c.dgain);
      return all;
    });
  }
}

// ---- XSA

struct XsaShape {
  int64_t rows, heads, kv_heads, head_dim;
};
constexpr XsaShape kXsaShapes[] = {{5, 4, 2, 8}, {70, 8, 4, 64}, {9, 6, 2, 20}, {3, 1, 1, 128}};

template <class T>
std::vector<double> xsa_reference(const std::vector<T>& y, const std::vector<T>& v, const XsaShape& s) {
  std::vector<double> out(y.begin(), y.end());
  for (int64_t i = 0; i < s.rows * s.heads; ++i) {
    const T* value = v.data() + (i / s.heads * s.kv_heads + i % s.heads / (s.heads / s.kv_heads)) * s.head_dim;
    double* row = out.data() + i * s.head_dim;
    double squares = 0, along = 0;
    for (int64_t e = 0; e < s.head_dim; ++e) squares += double(value[e]) * double(value[e]);
    const double length = std::max(std::sqrt(squares), 1e-12);
    for (int64_t e = 0; e < s.head_dim; ++e) along += row[e] * double(value[e]) / length;
    for (int64_t e = 0; e < s.head_dim; ++e) row[e] -= along * double(value[e]) / length;
  }
  return out;
}

TEST(Xsa, AgreesWithPlainFp64AndFiniteDifferences) {
  ThreadPool pool(2);
  for (const XsaShape& s : kXsaShapes) {
    const int64_t y_size = s.rows * s.heads * s.head_dim, v_size = s.rows * s.kv_heads * s.head_dim;
    const auto yf = random_values<float>(y_size, 1), vf = random_values<float>(v_size, 2);
    std::vector<float> outf(yf.size());
    xsa<float>(pool, yf.data(), vf.data(), outf.data(), s.rows, s.heads, s.kv_heads, s.head_dim);
    EXPECT_LT(largest_difference(outf, xsa_reference(yf, vf, s)), 2e-6);

    std::vector<double> y(yf.begin(), yf.end()), v(vf.begin(), vf.end()), out(y.size()), dy(y.size()), dv(v.size());
    const auto dout = random_values<double>(y_size, 3);
    xsa<double>(pool, y.data(), v.data(), out.data(), s.rows, s.heads, s.kv_heads, s.head_dim);
    EXPECT_LT(largest_difference(out, xsa_reference(y, v, s)), 1e-14);
    xsa_grad<double>(pool, y.data(), v.data(), dout.data(), dy.data(), false, dv.data(), false, s.rows, s.heads,
                     s.kv_heads, s.head_dim);
    const auto loss = [&] { return dot(xsa_reference(y, v, s), dout); };
    const size_t stride = std::max<size_t>(1, y.size() / 40) | 1;
    expect_gradient(y, dy, loss, stride, "dy");
    expect_gradient(v, dv, loss, stride, "dv");

    std::vector<double> dy2 = y, dv2 = v;
    xsa_grad<double>(pool, y.data(), v.data(), dout.data(), dy2.data(), true, dv2.data(), true, s.rows, s.heads,
                     s.kv_heads, s.head_dim);
    for (size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(dy2[i], y[i] + dy[i], 1e-13);
    for (size_t i = 0; i < v.size(); ++i) ASSERT_NEAR(dv2[i], v[i] + dv[i], 1e-12);
  }
}

TEST(Xsa, ZeroValueRemovesNothing) {
  ThreadPool pool(1);
  const auto y = random_values<float>(32, 1);
  const std::vector<float> v(16, 0.0f);
  std::vector<float> out(32), dy(32), dv(16, NAN);
  xsa<float>(pool, y.data(), v.data(), out.data(), 1, 2, 1, 16);
  xsa_grad<float>(pool, y.data(), v.data(), y.data(), dy.data(), false, dv.data(), false, 1, 2, 1, 16);
  EXPECT_EQ(out, y);
  EXPECT_EQ(dy, y);
  for (const float d : dv) EXPECT_TRUE(d == 0) << d;
}

TEST(Xsa, BitsDoNotDependOnThreadsOrInstructionSet) {
  for (const XsaShape& s : kXsaShapes) {
    expect_same_bits_everywhere([&](ThreadPool& pool) {
      const auto y = random_values<float>(s.rows * s.heads * s.head_dim, 1), dout = random_values<float>(y.size(), 3);
      const auto v = random_values<float>(s.rows * s.kv_heads * s.head_dim, 2);
      std::vector<float> out(y.size()), dy = y, dv = v;
      xsa<float>(pool, y.data(), v.data(), out.data(), s.rows, s.heads, s.kv_heads, s.head_dim);
      xsa_grad<float>(pool, y.data(), v.data(), dout.data(), dy.data(), true, dv.data(), true, s.rows, s.heads,
                      s.kv_heads, s.head_dim);
      append(out, dy);
      append(out, dv);
      return out;
    });
  }
}

}  // namespace
}  // namespace sixteen::cpu
