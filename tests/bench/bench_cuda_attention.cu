// Checks the CUDA attention kernels, portable and Hopper's, against sums in fp64, then times them at the training shape.
//
//   bench_cuda_attention [check | time]
//
// Checked at odd and even shapes: results, that nothing outside them is written, that old contents do not matter, that a second run
// gives the same bits, that rows do not depend on how many queries or windows there are, and gradients that are added.
// Flops: 4 head_dim a pair that is not masked forward, 10 backward. Times are the median of CUDA events.
// Bites: the reference takes delta from its own output, so that only the kernel under test is judged.
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "graph/cuda/attention_tiles.cuh"

using namespace sixteen::cuda;

namespace {

constexpr float kScale = 0.125f;
constexpr size_t kGuard = 512;  // bytes of sentinel on each side of a result
int failures = 0;

template <class T>
struct Buffer {
  explicit Buffer(int64_t n) : count(n) {
    SIXTEEN_CUDA_CHECK(cudaMalloc(&base, bytes() + 2 * kGuard));
    fill(0xff);
  }
  ~Buffer() { cudaFree(base); }
  Buffer(const Buffer&) = delete;
  void fill(int byte) {  // 0xff: every element is NaN
    SIXTEEN_CUDA_CHECK(cudaMemset(base, 0x5a, bytes() + 2 * kGuard));
    SIXTEEN_CUDA_CHECK(cudaMemset(base + kGuard, byte, bytes()));
  }
  size_t bytes() const { return size_t(count) * sizeof(T); }
  T* data() const { return reinterpret_cast<T*>(base + kGuard); }
  std::vector<T> host() const {
    std::vector<T> v(static_cast<size_t>(count));
    SIXTEEN_CUDA_CHECK(cudaMemcpy(v.data(), data(), bytes(), cudaMemcpyDeviceToHost));
    return v;
  }
  bool guarded() const {
    std::vector<unsigned char> v(2 * kGuard);
    SIXTEEN_CUDA_CHECK(cudaMemcpy(v.data(), base, kGuard, cudaMemcpyDeviceToHost));
    SIXTEEN_CUDA_CHECK(cudaMemcpy(v.data() + kGuard, base + kGuard + bytes(), kGuard, cudaMemcpyDeviceToHost));
    return std::all_of(v.begin(), v.end(), [](unsigned char c) { return c == 0x5a; });
  }
  int64_t count;
  char* base = nullptr;
};

__global__ void random_kernel(bf16* x, int64_t count, uint64_t seed, float size) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  uint64_t h = (seed << 40) + uint64_t(i);
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
  x[i] = __float2bfloat16_rn(size * (float((h ^ (h >> 31)) >> 40) / 8388608.0f - 1.0f));
}

void randomize(const Buffer<bf16>& x, uint64_t seed, float size) {
  random_kernel<<<unsigned(ceil_div(x.count, 256)), 256>>>(x.data(), x.count, seed, size);
  SIXTEEN_CUDA_CHECK(cudaGetLastError());
}

// What Hopper's backward reads of a query: (lse in log2 units, delta), (infinity, 0) past the end.
__global__ void pair_rows(const float* lse, const float* delta, float2* rows, int64_t count, int seq, int padded) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const int64_t at = i / padded * seq + i % padded;
  rows[i] = i % padded < seq ? make_float2(lse[at] * kLog2E, delta[at]) : make_float2(INFINITY, 0.0f);
}

// --- fp64

struct Reference {
  const bf16 *q, *k, *v, *dy;
  double *y, *lse, *dq, *dk, *dv;
  float* delta;
  AttentionDims d;
};

__device__ double to_double(bf16 x) { return double(__bfloat162float(x)); }

__device__ double dot(const bf16* a, const bf16* b) {
  double sum = 0;
  for (int i = 0; i < kHeadDim; ++i) sum += to_double(a[i]) * to_double(b[i]);
  return sum;
}

__global__ void reference_queries(Reference r) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x, rows = r.d.windows * r.d.query_rows;
  if (i >= rows * r.d.heads) return;
  const int64_t row = i / r.d.heads, head = i % r.d.heads, window = row / r.d.query_rows, at = row % r.d.query_rows;
  const int64_t kv_head = head / (r.d.heads / r.d.kv_heads), last = r.d.seq - r.d.query_rows + at;
  const bf16* q = r.q + i * kHeadDim;
  auto key = [&](const bf16* x, int64_t j) { return x + ((window * r.d.seq + j) * r.d.kv_heads + kv_head) * kHeadDim; };
  double top = -1e300, sum = 0, y[kHeadDim] = {}, dq[kHeadDim] = {}, delta = 0;
  for (int64_t j = 0; j <= last; ++j) top = fmax(top, double(kScale) * dot(q, key(r.k, j)));
  for (int64_t j = 0; j <= last; ++j) {
    const double p = exp(double(kScale) * dot(q, key(r.k, j)) - top);
    sum += p;
    for (int c = 0; c < kHeadDim; ++c) y[c] += p * to_double(key(r.v, j)[c]);
  }
  const int64_t place = (window * r.d.heads + head) * r.d.query_rows + at;
  r.lse[place] = top + log(sum);
  for (int c = 0; c < kHeadDim; ++c) r.y[i * kHeadDim + c] = y[c] /= sum;
  if (r.d.query_rows != r.d.seq) return;
  for (int c = 0; c < kHeadDim; ++c) delta += y[c] * to_double(r.dy[i * kHeadDim + c]);
  r.delta[place] = float(delta);
  for (int64_t j = 0; j <= last; ++j) {
    const double ds =
        exp(double(kScale) * dot(q, key(r.k, j)) - r.lse[place]) * (dot(r.dy + i * kHeadDim, key(r.v, j)) - delta);
    for (int c = 0; c < kHeadDim; ++c) dq[c] += double(kScale) * ds * to_double(key(r.k, j)[c]);
  }
  for (int c = 0; c < kHeadDim; ++c) r.dq[i * kHeadDim + c] = dq[c];
}

__global__ void reference_keys(Reference r) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= r.d.windows * r.d.seq * r.d.kv_heads) return;
  const int64_t kv_head = i % r.d.kv_heads, window = i / r.d.kv_heads / r.d.seq, at = i / r.d.kv_heads % r.d.seq;
  const int64_t group = r.d.heads / r.d.kv_heads;
  double dk[kHeadDim] = {}, dv[kHeadDim] = {};
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    for (int64_t j = at; j < r.d.seq; ++j) {
      const int64_t row = ((window * r.d.seq + j) * r.d.heads + head) * kHeadDim,
                    place = (window * r.d.heads + head) * r.d.seq + j;
      const double p = exp(double(kScale) * dot(r.q + row, r.k + i * kHeadDim) - r.lse[place]);
      const double ds = p * (dot(r.dy + row, r.v + i * kHeadDim) - double(r.delta[place]));
      for (int c = 0; c < kHeadDim; ++c) {
        dk[c] += double(kScale) * ds * to_double(r.q[row + c]);
        dv[c] += p * to_double(r.dy[row + c]);
      }
    }
  }
  for (int c = 0; c < kHeadDim; ++c) r.dk[i * kHeadDim + c] = dk[c], r.dv[i * kHeadDim + c] = dv[c];
}

// --- one case: inputs, reference, results

double number(bf16 x) { return double(__bfloat162float(x)); }
double number(float x) { return double(x); }

struct Case {
  explicit Case(AttentionDims dims, float q_size, bool with_reference = true)
      : d(dims),
        q(d.windows * d.query_rows * d.heads * kHeadDim),
        k(d.windows * d.seq * d.kv_heads * kHeadDim),
        v(k.count),
        dy(q.count),
        y(q.count),
        dq(q.count),
        dk(k.count),
        dv(k.count),
        lse(d.windows * d.heads * d.query_rows),
        delta(lse.count),
        ref_y(with_reference ? q.count : 1),
        ref_lse(lse.count),
        ref_dq(ref_y.count),
        ref_dk(with_reference ? k.count : 1),
        ref_dv(ref_dk.count) {
    randomize(q, 1, q_size), randomize(k, 2, 1.7f), randomize(v, 3, 1.0f), randomize(dy, 4, 1.0f);
    if (!with_reference) return;
    const Reference r = {
        q.data(),      k.data(),      v.data(),     dy.data(), ref_y.data(), ref_lse.data(), ref_dq.data(),
        ref_dk.data(), ref_dv.data(), delta.data(), d};
    reference_queries<<<unsigned(ceil_div(d.windows * d.query_rows * d.heads, 64)), 64>>>(r);
    if (d.query_rows == d.seq) reference_keys<<<unsigned(ceil_div(d.windows * d.seq * d.kv_heads, 64)), 64>>>(r);
    SIXTEEN_CUDA_CHECK(cudaDeviceSynchronize());
  }
  void forward(Launch& l, bool hopper, const XsaOutput& xsa = {}) {
    if (hopper) attention_hopper(l, q.data(), k.data(), v.data(), nullptr, y.data(), lse.data(), xsa, d, kScale);
    else attention_portable(l, q.data(), k.data(), v.data(), nullptr, y.data(), lse.data(), d, kScale);
  }
  void backward(Launch& l, bool hopper, bool add) {
    const AttentionGrad<bf16> a = {q.data(),  k.data(),  v.data(),  y.data(), lse.data(), nullptr, dy.data(),
                                   dq.data(), dk.data(), dv.data(), add,      add,        add};
    if (!hopper) return attention_grad_portable(l, a, delta.data(), d, kScale);
    const int64_t padded = ceil_div(d.seq, kTile) * kTile, count = d.windows * d.heads * padded;
    float2* pairs = l.scratch<float2>(count);
    launch(l, pair_rows, unsigned(ceil_div(count, 256)), 256, 0, lse.data(), delta.data(), pairs, count, int(d.seq), int(padded));
    attention_grad_hopper(l, a, pairs, d, kScale);
  }
  // As a graph does it: lse stands in for along, whose value costs nothing.
  void backward_xsa(Launch& l) {
    const AttentionGrad<bf16> a = {q.data(),  k.data(),  v.data(),  y.data(), lse.data(), lse.data(), dy.data(),
                                   dq.data(), dk.data(), dv.data(), false,    false,      false};
    attention_grad<bf16>(l, a, d, kScale);
  }
  bool guarded() const {
    return y.guarded() && lse.guarded() && dq.guarded() && dk.guarded() && dv.guarded() && q.guarded() && k.guarded() &&
           v.guarded() && dy.guarded() && delta.guarded();
  }
  AttentionDims d;
  Buffer<bf16> q, k, v, dy, y, dq, dk, dv;
  Buffer<float> lse, delta;
  Buffer<double> ref_y, ref_lse, ref_dq, ref_dk, ref_dv;
};

void expect(bool good, const std::string& what) {
  if (good) return;
  ++failures;
  std::printf("  FAILED: %s\n", what.c_str());
}

// |got - base - want| / |want|; NaN counts as failure because no comparison with it holds.
template <class T>
double distance(const Buffer<T>& got, const Buffer<double>& want, double base = 0) {
  const auto a = got.host();
  const auto b = want.host();
  double difference = 0, size = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference += (number(a[i]) - base - b[i]) * (number(a[i]) - base - b[i]);
    size += b[i] * b[i];
  }
  return std::sqrt(difference / std::max(size, 1e-30));
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// The dry run that an executor makes sizes the scratch memory.
template <class Work>
void with_scratch(Work work) {
  Launch sizing(nullptr, nullptr), l(nullptr, nullptr);
  sizing.dry = true;
  work(sizing);
  Buffer<char> memory(int64_t(sizing.scratch_needed()));
  l.set_scratch(reinterpret_cast<std::byte*>(memory.data()), memory.bytes());
  work(l);
  SIXTEEN_CUDA_CHECK(cudaDeviceSynchronize());
  expect(memory.guarded(), "scratch memory's surroundings were written");
}

void check_backward(Case& c, bool hopper) {
  with_scratch([&](Launch& l) { c.backward(l, hopper, false); });
  const double dq = distance(c.dq, c.ref_dq), dk = distance(c.dk, c.ref_dk), dv = distance(c.dv, c.ref_dv);
  std::printf(" dq %.1e dk %.1e dv %.1e", dq, dk, dv);
  expect((dq < 8e-3 || c.d.seq == 1) && (dk < 8e-3 || c.d.seq == 1) && dv < 8e-3,
         "gradients are off");  // of one key ds is 0
  const auto first_q = c.dq.host(), first_k = c.dk.host(), first_v = c.dv.host();
  c.dq.fill(0xff), c.dk.fill(0xff), c.dv.fill(0xff);
  with_scratch([&](Launch& l) { c.backward(l, hopper, false); });
  expect(same_bits(first_q, c.dq.host()) && same_bits(first_k, c.dk.host()) && same_bits(first_v, c.dv.host()),
         "a second backward run gives other bits");
  c.dq.fill(0x3f), c.dk.fill(0x3f), c.dv.fill(0x3f);  // 0x3f3f is 0.74609375
  with_scratch([&](Launch& l) { c.backward(l, hopper, true); });
  const double sum_q = distance(c.dq, c.ref_dq, 0.74609375), sum_k = distance(c.dk, c.ref_dk, 0.74609375),
               sum_v = distance(c.dv, c.ref_dv, 0.74609375);
  std::printf(" added %.1e %.1e %.1e", sum_q, sum_k, sum_v);
  expect(c.d.seq == 1 || (sum_q < 0.1 && sum_k < 0.1 && sum_v < 0.1),
         "added gradients are off");  // the sums round at 2^-9
}

void check(AttentionDims d, float q_size, bool hopper) {
  Case c(d, q_size);
  std::printf("%s %ld x %ld (%ld), %ld/%ld:", hopper ? "hopper  " : "portable", long(d.windows), long(d.seq),
              long(d.query_rows), long(d.heads), long(d.kv_heads));
  std::fflush(stdout);
  with_scratch([&](Launch& l) { c.forward(l, hopper); });
  const double y = distance(c.y, c.ref_y), lse = distance(c.lse, c.ref_lse);
  std::printf(" y %.1e lse %.1e", y, lse);
  expect(y < 5e-3 && lse < 1e-4, "forward is off");  // p and y are rounded to bf16 once each
  const auto first = c.y.host();
  const auto first_lse = c.lse.host();
  c.y.fill(0xff), c.lse.fill(0xff);
  with_scratch([&](Launch& l) { c.forward(l, hopper); });
  expect(same_bits(first, c.y.host()) && same_bits(first_lse, c.lse.host()), "a second forward run gives other bits");
  if (d.query_rows == d.seq && (!hopper || hopper_grad_fits(d))) check_backward(c, hopper);
  expect(c.guarded(), "something beside a result was written");
  std::printf("\n");
}

// The last rows of the last window alone, beside the same rows among all.
void check_rows(AttentionDims d, int64_t query_rows, bool hopper) {
  Case all(d, 4.0f, false);
  with_scratch([&](Launch& l) { all.forward(l, hopper); });
  AttentionDims few_dims = d;
  few_dims.windows = 1, few_dims.query_rows = query_rows;
  Case few(few_dims, 4.0f, false);
  const size_t row = size_t(d.heads * kHeadDim) * sizeof(bf16), kv = few.k.bytes(), q = size_t(query_rows) * row;
  cudaMemcpy(few.q.data(), reinterpret_cast<char*>(all.q.data()) + all.q.bytes() - q, q, cudaMemcpyDeviceToDevice);
  cudaMemcpy(few.k.data(), reinterpret_cast<char*>(all.k.data()) + all.k.bytes() - kv, kv, cudaMemcpyDeviceToDevice);
  cudaMemcpy(few.v.data(), reinterpret_cast<char*>(all.v.data()) + all.v.bytes() - kv, kv, cudaMemcpyDeviceToDevice);
  with_scratch([&](Launch& l) { few.forward(l, hopper); });
  const auto a = all.y.host(), b = few.y.host();
  expect(same_bits(std::vector<bf16>(a.end() - int64_t(b.size()), a.end()), b),
         "rows depend on how many there are: " + std::to_string(d.seq) + ", " + std::to_string(query_rows));
  const auto lse = all.lse.host(), few_lse = few.lse.host();
  for (int64_t h = 0; h < d.heads; ++h) {
    const size_t from = size_t(((d.windows - 1) * d.heads + h + 1) * d.seq - query_rows);
    expect(std::memcmp(&lse[from], &few_lse[size_t(h * query_rows)], size_t(query_rows) * sizeof(float)) == 0,
           "lse differs so");
  }
}

// --- times

template <class Work>
double median_ms(int runs, Work work) {
  std::vector<float> times;
  cudaEvent_t start, stop;
  SIXTEEN_CUDA_CHECK(cudaEventCreate(&start));
  SIXTEEN_CUDA_CHECK(cudaEventCreate(&stop));
  for (int i = 0; i < runs + 3; ++i) {
    SIXTEEN_CUDA_CHECK(cudaEventRecord(start));
    work();
    SIXTEEN_CUDA_CHECK(cudaEventRecord(stop));
    SIXTEEN_CUDA_CHECK(cudaEventSynchronize(stop));
    float ms = 0;
    SIXTEEN_CUDA_CHECK(cudaEventElapsedTime(&ms, start, stop));
    if (i >= 3) times.push_back(ms);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

void bench(AttentionDims d, bool hopper) {
  Case c(d, 1.7f, false);
  SIXTEEN_CUDA_CHECK(cudaMemset(c.delta.data(), 0, c.delta.bytes()));
  Launch sizing(nullptr, nullptr), l(nullptr, nullptr);
  sizing.dry = true;
  if (d.query_rows == d.seq) c.backward(sizing, hopper, false), sizing.begin_node(), c.backward_xsa(sizing);
  Buffer<char> memory(int64_t(sizing.scratch_needed()));
  l.set_scratch(reinterpret_cast<std::byte*>(memory.data()), memory.bytes());
  const double skipped = double(d.seq - d.query_rows);
  const double pairs = double(d.windows) * double(d.heads) * (double(d.seq) * double(d.seq) - skipped * skipped) / 2;
  const double forward = median_ms(20, [&] { l.begin_node(), c.forward(l, hopper); });
  std::printf("%s %ld x %ld (%ld), %ld/%ld: forward %.3f ms %.0f TFLOP/s", hopper ? "hopper  " : "portable",
              long(d.windows), long(d.seq), long(d.query_rows), long(d.heads), long(d.kv_heads), forward,
              4 * kHeadDim * pairs / forward * 1e-9);
  if (hopper) {
    Buffer<float> along(c.lse.count);
    std::printf(", with XSA %.3f ms", median_ms(20, [&] { l.begin_node(), c.forward(l, hopper, {true, along.data()}); }));
  }
  if (d.query_rows == d.seq) {
    const double backward = median_ms(20, [&] { l.begin_node(), c.backward(l, hopper, false); });
    std::printf(", backward %.3f ms %.0f TFLOP/s", backward, 10 * kHeadDim * pairs / backward * 1e-9);
    if (hopper) std::printf(", with XSA's %.3f ms", median_ms(20, [&] { l.begin_node(), c.backward_xsa(l); }));
  }
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "all";
  int cards = 0;
  if (cudaGetDeviceCount(&cards) != cudaSuccess || cards == 0) {
    std::printf("no CUDA card: nothing was checked\n");
    return 77;  // what ctest takes for skipped
  }
  cudaDeviceProp card;
  SIXTEEN_CUDA_CHECK(cudaGetDeviceProperties(&card, 0));
  std::printf("%s, %d multiprocessors\n", card.name, card.multiProcessorCount);
  for (int hopper = 0; hopper <= int(on_hopper()); ++hopper) {
    if (what != "time") {
      for (const AttentionDims d : {AttentionDims{1, 1, 1, 8, 4, 64},
                                    {2, 64, 64, 8, 4, 64},
                                    {3, 100, 100, 8, 4, 64},
                                    {2, 257, 257, 4, 4, 64},
                                    {2, 320, 64, 8, 4, 64},
                                    {2, 1000, 37, 8, 4, 64},
                                    {2, 300, 300, 6, 2, 64},
                                    {20, 192, 192, 8, 4, 64},
                                    {40, 130, 130, 4, 4, 64},
                                    {1, 2048, 2048, 8, 4, 64}})
        check(d, 4.0f, hopper == 1);
      check({2, 512, 512, 8, 4, 64}, 60.0f, hopper == 1);  // sharp: the running maximum jumps
      for (const int64_t rows : {1, 64, 100, 333}) {
        check_rows({3, 700, 700, 8, 4, 64}, rows, hopper == 1);
        check_rows({3, 512, 512, 4, 4, 64}, rows, hopper == 1);
      }
    }
    if (what != "check") {
      bench({48, 2048, 2048, 8, 4, 64}, hopper == 1);
      bench({16, 2048, 2048, 8, 4, 64}, hopper == 1);
      bench({48, 2048, 64, 8, 4, 64}, hopper == 1);
    }
  }
  std::printf(what == "time" ? "timed\n" : failures == 0 ? "all checks passed\n" : "%d checks FAILED\n", failures);
  return failures == 0 ? 0 : 1;
}
