// Ops that see one head of a row at a time: norm, rotation and gain of queries and keys, the learned gate a head; with their gradients.
// A group of lanes holds a head in registers (heads.cuh), in the norm several heads of a row one after the other.
//
// Floor: read once, written once.
// Bites: half layout of the rotation: (a, b) -> (a cos + b sin, b cos - a sin) with b = x[i + half]; what lies beyond passes.
// Loads cannot pass the stores of the heads before (pointers may be equal): a run's heads are all loaded first. The norm's gradient
// walks rows in row_sums.cuh's parts, so that a lane meets one head index and the gain's sums stay in its registers.
#include "graph/cuda/heads.cuh"
#include "graph/cuda/kernels.h"
#include "graph/cuda/row_sums.cuh"

namespace sixteen::cuda {
namespace {

constexpr int kRun = 4;  // heads of a row that a group of lanes takes together, where a row's heads are a multiple

template <class T>
struct NormHeads {
  const T* x;
  const float *cos, *sin, *gain;
  Divider runs, seq;  // runs of heads a row
  int dh, half, runs_a_row;
  float inverse_dh, eps;
};

// The angles that a lane's elements are turned by at one position, and where the partners of these lie.
template <class L>
struct Rotation {
  Floats<L::V> cos[L::kParts], sin[L::kParts];  // sin with its sign
  int half;

  // turn: -1 for the rotation back
  __device__ Rotation(const L& l, const float* cosines, const float* sines, int count, float turn) : half(count) {
#pragma unroll
    for (int p = 0; p < L::kParts; ++p) {
      if (!turns(l, p)) continue;
      const int c = l.at(p), angle = c < half ? c : c - half;
      cos[p] = load<L::V>(cosines + angle), sin[p] = load<L::V>(sines + angle);
#pragma unroll
      for (int i = 0; i < L::V; ++i) sin[p].v[i] *= c < half ? turn : -turn;
    }
  }
  __device__ bool turns(const L& l, int part) const { return l.at(part) < 2 * half; }

  // In wide layouts the partner is another lane's pack, else it is loaded again (out of L1).
  template <class T>
  __device__ Floats<L::V> partner(const L& l, const RawHead<L, T>& raw, const T* memory, int part) const {
    const int c = l.at(part), other = turns(l, part) ? (c < half ? c + half : c - half) : c;
    if constexpr (L::kParts == 1 && sizeof(raw.v[0]) == 16) {
      using Pack = Packed<T, L::V>;
      const uint4 own = __builtin_bit_cast(uint4, raw.v[0]);
      const auto from = [&](uint32_t word) { return __shfl_sync(0xffffffffu, word, other / L::V, L::kLanes); };
      const uint4 words = {from(own.x), from(own.y), from(own.z), from(own.w)};
      return unpack(__builtin_bit_cast(Pack, words));
    } else {
      return turns(l, part) ? load<L::V>(memory + other) : Floats<L::V>{};
    }
  }

  // The turned head, which lies at `memory`.
  template <class T>
  __device__ Head<L> operator()(const L& l, const RawHead<L, T>& raw, const T* memory) const {
    Head<L> head = raw.floats();
#pragma unroll
    for (int p = 0; p < L::kParts; ++p) {
      const Floats<L::V> other = partner(l, raw, memory, p);
      if (!turns(l, p)) continue;
#pragma unroll
      for (int i = 0; i < L::V; ++i) head.v[p].v[i] = head.v[p].v[i] * cos[p].v[i] + sin[p].v[i] * other.v[i];
    }
    return head;
  }
};

template <class L, int kHeads, class T>
__global__ void __launch_bounds__(kHeadThreads) norm_heads(NormHeads<T> a, uint32_t runs, T* y) {
  const uint32_t thread = blockIdx.x * kHeadThreads + threadIdx.x, group = thread / L::kLanes;
  const L l{a.dh, static_cast<int>(thread % L::kLanes), group < runs};
  const uint32_t run = min(group, runs - 1), row = a.runs.quotient(run);
  const int64_t at = int64_t{run} * kHeads * a.dh;
  RawHead<L, T> raw[kHeads];
#pragma unroll
  for (int h = 0; h < kHeads; ++h) raw[h] = {l, a.x + at + h * a.dh};
  const int64_t angle = int64_t{a.seq.remainder(row)} * a.half;
  const Rotation<L> rotation(l, a.cos + angle, a.sin + angle, a.half, 1.0f);
  const float* gain = a.gain != nullptr ? a.gain + (run - row * a.runs_a_row) * kHeads : nullptr;
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    const Head<L> plain = raw[h].floats();
    const float r = rsqrtf(dot(l, plain, plain) * a.inverse_dh + a.eps), factor = gain != nullptr ? gain[h] * r : r;
    Head<L> out = rotation(l, raw[h], a.x + at + h * a.dh);
    out.each([&](float& v, int, int) { v *= factor; });
    put_head(l, out, y + at + h * a.dh, false);
  }
}

template <class T>
struct NormHeadsGrad : NormHeads<T> {
  const T* dy;
  T* dx;
  bool add;
  int64_t rows, rows_a_part;
  float* parts;  // [part, heads]; may be null
};

// With r = 1 / rms and t = dy rotated back: y = gain rope(r x), so dx = gain r (t - x r^2 (x . t) / dh), dgain = r x . t.
// A block's groups of lanes stand side by side on `band` runs of a row, and on as many rows at once as are left.
template <class L, int kHeads, class T>
__global__ void __launch_bounds__(kHeadThreads) norm_heads_grad(NormHeadsGrad<T> a) {
  constexpr int kGroups = kHeadThreads / L::kLanes;
  __shared__ float shared[kGroups][kHeads];
  const int band = min(a.runs_a_row, kGroups), rows_at_once = kGroups / band, group = threadIdx.x / L::kLanes;
  const int lane_row = group / band, run = blockIdx.y * band + group % band, head = min(run, a.runs_a_row - 1) * kHeads;
  const int64_t first = blockIdx.x * a.rows_a_part, end = min(a.rows, first + a.rows_a_part);
  float sums[kHeads] = {};
  for (int64_t row0 = first; row0 < end; row0 += rows_at_once) {
    const bool active = lane_row < rows_at_once && run < a.runs_a_row && row0 + lane_row < end;
    const L l{a.dh, static_cast<int>(threadIdx.x % L::kLanes), active};
    const int64_t row = active ? row0 + lane_row : end - 1, at = (row * a.runs_a_row * kHeads + head) * a.dh;
    RawHead<L, T> raw[kHeads], d[kHeads];
#pragma unroll
    for (int h = 0; h < kHeads; ++h) raw[h] = {l, a.x + at + h * a.dh}, d[h] = {l, a.dy + at + h * a.dh};
    const int64_t angle = int64_t{a.seq.remainder(static_cast<uint32_t>(row))} * a.half;
    const Rotation<L> back(l, a.cos + angle, a.sin + angle, a.half, -1.0f);
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      const Head<L> x = raw[h].floats();
      Head<L> t = back(l, d[h], a.dy + at + h * a.dh);
      const float r = rsqrtf(dot(l, x, x) * a.inverse_dh + a.eps), along = dot(l, x, t) * r;
      const float factor = a.gain != nullptr ? a.gain[head + h] * r : r, less = along * r * a.inverse_dh;
      if (active) sums[h] += along;
      t.each([&](float& v, int p, int i) { v = factor * (v - less * x.v[p].v[i]); });
      put_head(l, t, a.dx + at + h * a.dh, a.add);
    }
  }
  if (a.parts == nullptr) return;
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    if (threadIdx.x % L::kLanes == 0) shared[group][h] = sums[h];
  }
  __syncthreads();
  for (int i = threadIdx.x; i < band * kHeads; i += kHeadThreads) {
    const int of = blockIdx.y * band * kHeads + i;
    float total = 0;
    for (int r = 0; r < rows_at_once; ++r) total += shared[r * band + i / kHeads][i % kHeads];
    if (of < a.runs_a_row * kHeads) a.parts[int64_t{blockIdx.x} * a.runs_a_row * kHeads + of] = total;
  }
}

// call(layout, heads of a run, arguments)
template <class T, class Call>
void with_runs(const HeadNormShape& s, bool aligned, const T* x, const float* cos, const float* sin, const float* gain, float eps,
               Call call) {
  CHECK(s.rows * s.heads < (int64_t{1} << 26));
  with_layout<T>(aligned && s.rope_half % kWide<T> == 0, s.head_dim, [&](auto layout) {
    const auto run = [&](auto heads) {
      const int64_t runs = s.heads / heads.value;
      call(layout, heads,
           NormHeads<T>{x, cos, sin, gain, Divider(runs), Divider(s.seq), static_cast<int>(s.head_dim),
                        static_cast<int>(s.rope_half), static_cast<int>(runs),
                        1.0f / static_cast<float>(s.head_dim), eps});
    };
    if constexpr (decltype(layout)::kParts == 1) {
      if (s.heads % kRun == 0) return run(std::integral_constant<int, kRun>());
    }
    run(std::integral_constant<int, 1>());
  });
}

}  // namespace

template <class T>
void head_norm(Launch& l, const T* x, const float* cos, const float* sin, const float* gain, T* y, const HeadNormShape& s,
               float eps) {
  with_runs(s, aligned16(x, y, cos, sin), x, cos, sin, gain, eps, [&](auto layout, auto heads, const NormHeads<T>& a) {
    const int64_t runs = s.rows * a.runs_a_row;
    launch(l, norm_heads<decltype(layout), heads.value, T>, static_cast<unsigned>(ceil_div(runs * layout.kLanes, kHeadThreads)),
           kHeadThreads, 0, a, static_cast<uint32_t>(runs), y);
  });
}

template <class T>
void head_norm_grad(Launch& l, const T* x, const float* cos, const float* sin, const float* gain, const T* dy, T* dx, bool add,
                    float* dgain, const HeadNormShape& s, float eps) {
  const int64_t rows_a_part = std::max<int64_t>(kSumRows, ceil_div(s.rows, kRowParts)), parts = ceil_div(s.rows, rows_a_part);
  float* partial = dgain != nullptr ? l.scratch<float>(parts * s.heads) : nullptr;
  with_runs(s, aligned16(x, dy, dx, cos, sin), x, cos, sin, gain, eps, [&](auto layout, auto heads, const NormHeads<T>& a) {
    const int64_t groups = kHeadThreads / layout.kLanes;
    const dim3 grid(static_cast<unsigned>(parts), static_cast<unsigned>(ceil_div(a.runs_a_row, groups)));
    launch(l, norm_heads_grad<decltype(layout), heads.value, T>, grid, kHeadThreads, 0,
           NormHeadsGrad<T>{a, dy, dx, add, s.rows, rows_a_part, partial});
  });
  if (dgain == nullptr) return;
  const auto finish = [=] __device__(int i, float sum) { dgain[i] += sum; };
  launch(l, sum_parts<decltype(finish)>, static_cast<unsigned>(ceil_div(s.heads, 32)), 1024, 0, parts, static_cast<int>(s.heads),
         static_cast<const float*>(partial), finish);
}

template <class T>
void head_gate(Launch& l, const T* y, const T* z, const float* bias, T* out, int64_t rows, int64_t heads, int64_t head_dim) {
  const Divider count(heads);
  heads_of<T>(l, aligned16(y, out), rows * heads, head_dim, [=] __device__(auto layout, uint32_t head) {
    const float open = sigmoid(to_float(z[head]) + bias[count.remainder(head)]);
    auto x = load_head(layout, y + int64_t{head} * layout.dh);
    x.each([&](float& e, int, int) { e *= open; });
    put_head(layout, x, out + int64_t{head} * layout.dh, false);
  });
}

template <class T>
void head_gate_grad(Launch& l, const T* y, const T* z, const float* bias, const T* dout, T* dy, bool add_dy, T* dz, bool add_dz,
                    float* dbias, int64_t rows, int64_t heads, int64_t head_dim) {
  const Divider count(heads);
  float* dz_rows = l.scratch<float>(rows * heads);
  heads_of<T>(l, aligned16(y, dout, dy), rows * heads, head_dim, [=] __device__(auto layout, uint32_t head) {
    const int64_t at = int64_t{head} * layout.dh;
    const float open = sigmoid(to_float(z[head]) + bias[count.remainder(head)]);
    auto d = load_head(layout, dout + at);
    const float along = dot(layout, load_head(layout, y + at), d) * (open * (1.0f - open));
    if (layout.active && layout.lane == 0) {
      dz_rows[head] = along;
      put(along, dz + head, add_dz);
    }
    d.each([&](float& e, int, int) { e *= open; });
    put_head(layout, d, dy + at, add_dy);
  });
  add_row_grad<float>(l, dz_rows, dbias, rows, heads);
}

#define SIXTEEN_INSTANTIATE(T)                                                                                              \
  template void head_norm(Launch&, const T*, const float*, const float*, const float*, T*, const HeadNormShape&, float);    \
  template void head_norm_grad(Launch&, const T*, const float*, const float*, const float*, const T*, T*, bool, float*,     \
                               const HeadNormShape&, float);                                                                \
  template void head_gate(Launch&, const T*, const T*, const float*, T*, int64_t, int64_t, int64_t);                        \
  template void head_gate_grad(Launch&, const T*, const T*, const float*, const T*, T*, bool, T*, bool, float*, int64_t,    \
                               int64_t, int64_t);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(bf16)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cuda
