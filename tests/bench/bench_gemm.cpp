// GEMM speed beside OpenBLAS, in one process and in turns, so that a loaded machine slows both: GFLOP/s of the best
// turn.
//
//   bench_gemm [--threads N] [--turns N] [--cpu] [M N K ff|ft|tf]      default: a table of training shapes
//   OPENBLAS_CORETYPE=SkylakeX bench_gemm                          the peer with other kernels than it chooses itself
// --cpu times the calling thread's CPU instead of the wall (one thread only): other processes then matter little.
// The last column is a hash of our result's bits: equal on every machine, thread count and SIXTEEN_ISA.
// Bites: OpenBLAS threads spin for tens of milliseconds after a call, and a loaded machine takes as long to move a
// woken thread to another core: a turn is a tenth of a second and its best call counts.
#include <cblas.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "graph/cpu/gemm.h"

extern "C" char* openblas_get_corename();

namespace {

using sixteen::cpu::ThreadPool;

constexpr double kTurnSeconds = 0.1;

struct Options {
  int threads = 0, turns = 5;
  bool cpu_time = false;
};

struct Shape {
  int64_t m, n, k;
  bool ta, tb;
};

double now(bool cpu_time) {
  timespec t;
  clock_gettime(cpu_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// The best call of a turn.
template <class Body>
double seconds(bool cpu_time, Body body) {
  double best = 1e9;
  const double start = now(cpu_time);
  for (int call = 0; call < 3 || now(cpu_time) - start < kTurnSeconds; ++call) {
    const double begin = now(cpu_time);
    body();
    best = std::min(best, now(cpu_time) - begin);
  }
  return best;
}

std::vector<float> random_matrix(int64_t numbers, uint32_t seed) {
  std::minstd_rand random(seed);
  std::vector<float> values(static_cast<size_t>(numbers));
  for (float& value : values) value = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
  return values;
}

uint64_t hash(const std::vector<float>& values) {
  uint64_t h = 1469598103934665603u;  // FNV-1a
  for (float value : values) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    h = (h ^ bits) * 1099511628211u;
  }
  return h;
}

// Returns ours / theirs.
double compare(ThreadPool& pool, const Options& options, const Shape& s) {
  const int64_t lda = s.ta ? s.m : s.k, ldb = s.tb ? s.k : s.n;
  const std::vector<float> a = random_matrix(s.m * s.k, 1), b = random_matrix(s.n * s.k, 2);
  std::vector<float> ours(static_cast<size_t>(s.m * s.n)), theirs(ours.size());
  double best_ours = 1e9, best_theirs = 1e9;
  for (int turn = 0; turn < options.turns; ++turn) {
    best_ours = std::min(best_ours, seconds(options.cpu_time, [&] {
                           sixteen::cpu::gemm(pool, s.ta, s.tb, s.m, s.n, s.k, a.data(), lda, b.data(), ldb,
                                              ours.data(), s.n, false);
                         }));
    best_theirs = std::min(best_theirs, seconds(options.cpu_time, [&] {
                             cblas_sgemm(CblasRowMajor, s.ta ? CblasTrans : CblasNoTrans,
                                         s.tb ? CblasTrans : CblasNoTrans, static_cast<int>(s.m), static_cast<int>(s.n),
                                         static_cast<int>(s.k), 1.0f, a.data(), static_cast<int>(lda), b.data(),
                                         static_cast<int>(ldb), 0.0f, theirs.data(), static_cast<int>(s.n));
                           }));
  }
  const double gflop = 2e-9 * static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k);
  std::printf("%5ld %5ld %5ld  %c%c %9.1f %9.1f %7.2f   %016lx\n", static_cast<long>(s.m), static_cast<long>(s.n),
              static_cast<long>(s.k), s.ta ? 'T' : 'N', s.tb ? 'T' : 'N', gflop / best_ours, gflop / best_theirs,
              best_theirs / best_ours, static_cast<unsigned long>(hash(ours)));
  std::fflush(stdout);
  return best_theirs / best_ours;
}

// Forward (NT), input gradient (NN) and weight gradient (TN) of linear layers, and single-token products.
const std::vector<Shape> kShapes = {
    {2048, 256, 256, false, true},  {2048, 512, 512, false, true},   {2048, 512, 512, false, false},
    {512, 512, 2048, true, false},  {2048, 2048, 512, false, true},  {2048, 512, 2048, false, false},
    {2048, 512, 2048, true, false}, {4096, 768, 768, false, true},   {8192, 1024, 1024, false, true},
    {8192, 512, 2048, false, true}, {8192, 8192, 512, false, true},  {8192, 512, 8192, false, false},
    {8192, 512, 8192, true, false}, {2048, 2048, 2048, false, true}, {64, 512, 512, false, true},
    {8, 2048, 512, false, true},    {1, 2048, 512, false, true},
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--cpu") {
      options.cpu_time = true;
    } else if ((word == "--threads" || word == "--turns") && i + 1 < argc) {
      (word == "--threads" ? options.threads : options.turns) = std::stoi(argv[++i]);
    } else {
      words.push_back(word);
    }
  }
  if (!words.empty() && words.size() != 4) {
    std::fprintf(stderr, "bench_gemm: expected no shape or M N K and one of ff, ft, tf, tt\n");
    return 2;
  }
  ThreadPool pool(options.cpu_time ? 1 : options.threads);
  openblas_set_num_threads(pool.threads());
  std::printf("%d threads, %s; OpenBLAS %s\n    M     N     K  op   GFLOP/s  OpenBLAS   ratio   hash\n", pool.threads(),
              sixteen::cpu::isa_name(), openblas_get_corename());
  if (!words.empty()) {
    compare(pool, options,
            {std::stol(words[0]), std::stol(words[1]), std::stol(words[2]), words[3][0] == 't', words[3][1] == 't'});
    return 0;
  }
  for (const Shape& shape : kShapes) compare(pool, options, shape);
  return 0;
}
