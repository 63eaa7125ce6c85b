// Speed of the attention kernels and of the head beside a plain GEMM of the same machine, with a hash of the results.
//
//   bench_attention [threads]
//
// Flops: attention 4 T (T / 2) head_dim a head forward, 2.5 times that backward; head 2 rows dim vocab a product. Times
// are the least of several runs: by the clock, and in processor seconds of all threads, which other programs disturb
// less (but idle threads that wait for work count too). The hash must not change with the number of threads or
// SIXTEEN_ISA.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <vector>

#include "graph/cpu/gemm.h"
#include "graph/cpu/kernels.h"

using namespace sixteen::cpu;

namespace {

std::vector<float> random_values(int64_t count, uint64_t seed, float size) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    v = size * (static_cast<float>(seed >> 40) / 8388608.0f - 1.0f);
  }
  return values;
}

uint32_t hash(std::initializer_list<const std::vector<float>*> tensors) {  // FNV-1a over the bytes
  uint32_t h = 2166136261u;
  for (const std::vector<float>* tensor : tensors) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(tensor->data());
    for (size_t i = 0; i < tensor->size() * sizeof(float); ++i) h = (h ^ bytes[i]) * 16777619u;
  }
  return h;
}

struct Seconds {
  double clock = 1e9, processor = 1e9;
};

Seconds least_seconds(const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  Seconds least;
  work();
  const auto end = Clock::now() + std::chrono::milliseconds(700);
  do {
    const auto start = Clock::now();
    const std::clock_t processor = std::clock();
    work();
    least.clock = std::min(least.clock, std::chrono::duration<double>(Clock::now() - start).count());
    least.processor = std::min(least.processor, double(std::clock() - processor) / CLOCKS_PER_SEC);
  } while (Clock::now() < end);
  return least;
}

void report(const char* name, double flops, const Seconds& s, uint32_t h) {
  std::printf("%-40s %9.3f ms %7.1f GFLOP/s, %6.1f a processor second  hash %08x\n", name, s.clock * 1e3,
              flops / s.clock * 1e-9, flops / s.processor * 1e-9, h);
}

void bench_gemm(ThreadPool& pool) {
  const int64_t m = 1024, n = 2048, k = 512;
  const auto a = random_values(m * k, 1, 1), b = random_values(n * k, 2, 1);
  std::vector<float> c(static_cast<size_t>(m * n));
  const Seconds s =
      least_seconds([&] { gemm(pool, false, true, m, n, k, a.data(), k, b.data(), k, c.data(), n, false); });
  report("gemm 1024 x 2048 x 512, b transposed", 2.0 * m * n * k, s, hash({&c}));
}

void bench_attention(ThreadPool& pool, int64_t windows, int64_t seq, int64_t dh) {
  const AttentionDims d = {windows, seq, seq, 8, 4, dh};
  const int64_t rows = windows * seq;
  const auto q = random_values(rows * 8 * dh, 1, 3), k = random_values(rows * 4 * dh, 2, 1),
             v = random_values(rows * 4 * dh, 3, 1);
  const auto dy = random_values(rows * 8 * dh, 4, 1);
  std::vector<float> y(q.size()), lse(static_cast<size_t>(rows * 8)), dq(q.size()), dk(k.size()), dv(k.size());
  const double flops = 4.0 * seq * seq / 2 * dh * 8 * windows;
  const Seconds forward =
      least_seconds([&] { attention<float>(pool, q.data(), k.data(), v.data(), y.data(), lse.data(), d, 0.125f); });
  const Seconds backward = least_seconds([&] {
    attention_grad<float>(pool, q.data(), k.data(), v.data(), y.data(), lse.data(), dy.data(), dq.data(), false,
                          dk.data(), false, dv.data(), false, d, 0.125f);
  });
  char name[64];
  std::snprintf(name, sizeof(name), "attention %ld x %ld, 8/4 heads of %ld", long(windows), long(seq), long(dh));
  report(name, flops, forward, hash({&y, &lse}));
  report("  backward", 2.5 * flops, backward, hash({&dq, &dk, &dv}));
}

void bench_head(ThreadPool& pool, int64_t rows, int64_t dim, int64_t vocab) {
  const auto x = random_values(rows * dim, 1, 1), table = random_values(vocab * dim, 2, 0.1f);
  std::vector<float> nll(static_cast<size_t>(rows)), weight(static_cast<size_t>(rows), 1.0f / static_cast<float>(rows)),
      dx(x.size()), dtable(table.size());
  std::vector<int32_t> targets(static_cast<size_t>(rows));
  for (size_t i = 0; i < targets.size(); ++i) targets[i] = static_cast<int32_t>(i * 7919 % static_cast<size_t>(vocab));
  const double flops = 2.0 * rows * dim * vocab;
  const Seconds forward = least_seconds(
      [&] { head_nll<float>(pool, x.data(), table.data(), targets.data(), nll.data(), rows, dim, vocab, 30, false); });
  char name[64];
  std::snprintf(name, sizeof(name), "head_nll %ld x %ld, vocab %ld", long(rows), long(dim), long(vocab));
  report(name, flops, forward, hash({&nll}));
  const auto loss = [&] {
    head_loss<float>(pool, x.data(), table.data(), targets.data(), weight.data(), nll.data(), dx.data(), dtable.data(),
                     rows, dim, vocab, 30);
  };
  const Seconds both = least_seconds(loss);
  std::fill(dtable.begin(), dtable.end(), 0.0f);
  loss();
  report("  head_loss", 3 * flops, both, hash({&nll, &dx, &dtable}));
}

}  // namespace

int main(int argc, char** argv) {
  ThreadPool pool(argc > 1 ? std::atoi(argv[1]) : 0);
  std::printf("%s, %d threads\n", isa_name(), pool.threads());
  bench_gemm(pool);
  bench_attention(pool, 8, 512, 64);
  bench_attention(pool, 4, 1024, 64);
  bench_attention(pool, 2, 2048, 64);
  bench_attention(pool, 8, 512, 32);
  bench_head(pool, 2048, 512, 8192);
  bench_head(pool, 4096, 512, 1024);
  return 0;
}
