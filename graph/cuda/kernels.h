// The CUDA kernels, as plain functions over device pointers; T is float or bf16, the type of activations. cuda_executor.cpp
// calls them, one a node. What each computes stands in graph/op.h; arguments follow graph/cpu/kernels.h.
//
// Bites: parameters of channels (mix, gates, gains), rotary tables, losses and gradients of parameters are float whatever T is.
// `add` true adds to that output instead of overwriting it; outputs marked (+=) always are. Every sum has a fixed order
// that depends on shapes alone, and there are no float atomics. All launches are asynchronous, on l.stream.
#pragma once

#include <cstdint>

#include "graph/cuda/launch.h"

namespace sixteen::cuda {

// --- tokens.cu
template <class From, class To>
void embedding(Launch& l, const int32_t* ids, const From* table, To* y, int64_t rows, int64_t dim);
template <class T>
void embedding_grad(Launch& l, const int32_t* ids, const T* dy, float* dtable /*+=*/, int64_t rows, int64_t dim, int64_t vocab);
void bigram_hash(Launch& l, const int32_t* ids, int32_t* index, int64_t rows, int64_t seq, int64_t buckets, int64_t multiplier,
                 bool own_previous);
void pair_hash(Launch& l, const int32_t* ids, int32_t* index, int64_t rows, int64_t seq, int64_t buckets);
template <class T>
void tail_rows(Launch& l, const T* x, T* y, int64_t windows, int64_t seq, int64_t tail, int64_t dim);

// --- gemm.cpp, gemm_plain.cu: c [m, n] (+)= op(a) op(b); row-major with the widths of the stored matrices as strides
struct MatmulShape {
  bool ta, tb;
  int64_t m, n, k, lda, ldb, ldc;
  bool add;
  int64_t batch = 1, stride_a = 0, stride_b = 0, stride_c = 0;  // in elements
};
template <class From, class To>
void matmul(Launch& l, const MatmulShape& s, const From* a, const From* b, To* c);
template <class T>  // y [rows, n] = x [rows, n] + a [rows, k] w [n, k]^T
void linear_add(Launch& l, const T* a, const T* w, const T* x, T* y, int64_t rows, int64_t n, int64_t k);
template <class From, class To>  // one chain of fma over k per output: any shape, any alignment, slow
void matmul_plain(Launch& l, const MatmulShape& s, const From* a, const From* b, To* c);

// --- mlp.cu (and mlp_hopper.cu): products fused with LeakyReLU^2 or its gradient
struct MlpShape {
  int64_t rows, n, k;
};
template <class T>  // y [rows, n] = LeakyReLU^2 of h = x [rows, k] w [n, k]^T; h may be null
void linear_leaky_relu_sq(Launch& l, const T* x, const T* w, T* y, T* h, const MlpShape& s, float slope);
template <class T>  // dh [rows, n] = (dy [rows, k] w [k, n]) times the slope of LeakyReLU^2 at h
void matmul_leaky_relu_sq_grad(Launch& l, const T* dy, const T* w, const T* h, T* dh, bool add, const MlpShape& s, float slope);

// --- elements.cu
void fill_f32(Launch& l, float* y, float value, int64_t count);
template <class From, class To>  // y = alpha x (s: and times *s when not null)
void scale(Launch& l, const From* x, const float* s, float alpha, To* y, bool add, int64_t count);
template <class T>
void axpby(Launch& l, const T* x, const T* y, float alpha, float beta, T* out, int64_t count);
template <class T>
void leaky_relu_sq(Launch& l, const T* h, T* y, float slope, int64_t count);
template <class T>
void leaky_relu_sq_grad(Launch& l, const T* h, const T* dy, T* dh, bool add, float slope, int64_t count);
template <class T>
void softcap(Launch& l, const T* z, T* y, float cap, bool fast, int64_t count);
template <class T>
void softcap_grad(Launch& l, const T* z, const T* dy, T* dz, bool add, float cap, int64_t count);
template <class T>
void residual_mix(Launch& l, const T* x, const T* x0, const float* mix, T* y, int64_t rows, int64_t dim);
template <class To>  // y [rows, dim] = s [rows] w
void scale_rows(Launch& l, const float* w, const float* s, To* y, int64_t rows, int64_t dim);
template <class T>
void add_scaled(Launch& l, const T* x, const T* a, const float* s, T* y, int64_t rows, int64_t dim);
template <class T>
void add_row(Launch& l, const T* x, const float* row, T* y, int64_t rows, int64_t dim);
template <class T>
void skip_gate(Launch& l, const T* x, const T* skip, const float* w, const float* gate, T* y, int64_t rows, int64_t dim);
template <class T>
struct LaneMix {
  const T *lane, *a, *f;
  const float *sa, *sf, *r, *pa, *pf;
};
template <class T>
void lane_mix(Launch& l, const LaneMix<T>& in, T* y, int64_t rows, int64_t dim);

// --- row_sums.cu: gradients that end in sums over rows
template <class T>
void scale_by_grad(Launch& l, const T* x, const float* s, const T* dy, float alpha, T* dx, bool add, float* ds /*+=*/, int64_t rows,
                   int64_t dim);
template <class T>
void add_row_grad(Launch& l, const T* dy, float* drow /*+=*/, int64_t rows, int64_t dim);
template <class T>
void residual_mix_grad(Launch& l, const T* x, const T* x0, const float* mix, const T* dy, T* dx, bool add_dx, T* dx0, bool add_dx0,
                       float* dmix /*+=*/, int64_t rows, int64_t dim);
template <class T>
void add_scaled_grad(Launch& l, const T* a, const float* s, const T* dy, T* da, bool add, float* ds /*+=*/, int64_t rows,
                     int64_t dim);
template <class T>
void skip_gate_grad(Launch& l, const T* x, const T* skip, const float* w, const float* gate, const T* dy, T* dx, bool add_dx,
                    T* dskip, bool add_dskip, float* dw /*+=*/, float* dgate /*+=*/, int64_t rows, int64_t dim);
template <class T>
struct LaneMixGrad {
  T *lane, *a, *f;
  bool add_lane, add_a, add_f;
  float *sa, *sf, *r, *pa, *pf;  // +=
};
template <class T>
void lane_mix_grad(Launch& l, const LaneMix<T>& in, const T* dy, const LaneMixGrad<T>& out, int64_t rows, int64_t dim);
template <class T>
void smear(Launch& l, const T* x, const float* gate, T* y, int64_t rows, int64_t dim, int64_t seq);
template <class T>
void smear_grad(Launch& l, const T* x, const float* gate, const T* dy, T* dx, bool add, float* dgate /*+=*/, int64_t rows,
                int64_t dim, int64_t seq);

// --- mix_norm.cu; dm: what comes back through m itself; may be null
template <class T>
void mix_norm_grad(Launch& l, const T* x, const T* x0, const float* mix, const T* dy, const T* dm, T* dx, bool add_dx, T* dx0,
                   bool add_dx0, float* dmix /*+=*/, int64_t rows, int64_t dim, float alpha, float eps);

// --- rows.cu: a warp a row
template <class T>
void rms_norm(Launch& l, const T* x, T* y, int64_t rows, int64_t dim, float alpha, float eps);
template <class T>
void rms_norm_grad(Launch& l, const T* x, const T* dy, T* dx, bool add, int64_t rows, int64_t dim, float alpha, float eps);
template <class T>  // y = rms_norm of m = residual_mix(x, x0, mix); m may be null
void mix_norm(Launch& l, const T* x, const T* x0, const float* mix, T* y, T* m, int64_t rows, int64_t dim, float alpha, float eps);
void scale_rows_grad(Launch& l, const float* w, const float* s, const float* dy, float* dw, bool add, float* ds /*+=*/, int64_t rows,
                     int64_t dim);
template <class From, class To>
void fake_quant(Launch& l, const From* w, To* y, float low, int64_t rows, int64_t dim);

// --- heads.cu: a warp a head of a row
struct HeadNormShape {
  int64_t rows, heads, head_dim, seq, rope_half;
};
template <class T>
void head_norm(Launch& l, const T* x, const float* cos, const float* sin, const float* gain, T* y, const HeadNormShape& s, float eps);
template <class T>
void head_norm_grad(Launch& l, const T* x, const float* cos, const float* sin, const float* gain, const T* dy, T* dx, bool add,
                    float* dgain /*+=, may be null*/, const HeadNormShape& s, float eps);
template <class T>
void head_gate(Launch& l, const T* y, const T* z, const float* bias, T* out, int64_t rows, int64_t heads, int64_t head_dim);
template <class T>
void head_gate_grad(Launch& l, const T* y, const T* z, const float* bias, const T* dout, T* dy, bool add_dy, T* dz, bool add_dz,
                    float* dbias /*+=*/, int64_t rows, int64_t heads, int64_t head_dim);

// --- attention.cu, and the files that its header names
struct AttentionDims {
  int64_t windows, seq, query_rows, heads, kv_heads, head_dim;
  bool operator==(const AttentionDims&) const = default;
};
// keys (may be null): of the seq rows of k and v that many are there so far, and the queries are the last of them; one window.
template <class T>
void attention(Launch& l, const T* q, const T* k, const T* v, const int32_t* keys, T* y, float* lse, const AttentionDims& d, float scale);
template <class T>  // along may be null
void attention_xsa(Launch& l, const T* q, const T* k, const T* v, T* z, float* lse, float* along, const AttentionDims& d, float scale);
template <class T>
struct AttentionGrad {
  const T *q, *k, *v, *y;  // y: of attention_xsa z
  const float *lse, *along;  // along: of attention_xsa, else null
  const T* dy;
  T *dq, *dk, *dv;
  bool add_dq, add_dk, add_dv;
};
template <class T>
void attention_grad(Launch& l, AttentionGrad<T> a, const AttentionDims& d, float scale);
template <class T>  // of queries at all positions or the last; along may be null; out may be y
void xsa(Launch& l, const T* y, const T* v, T* out, float* along, const AttentionDims& d);
template <class T>
void xsa_grad(Launch& l, const T* y, const T* v, const T* dout, T* dy, bool add_dy, T* dv, bool add_dv, const AttentionDims& d);

// --- loss.cu
template <class T>
void head_nll(Launch& l, const T* x, const T* table, const int32_t* targets, float* nll, int64_t rows, int64_t dim, int64_t vocab,
              float cap, bool round_bf16);
template <class T>
void head_loss(Launch& l, const T* x, const T* table, const int32_t* targets, const float* row_weight, float* nll, T* dx,
               float* dtable /*+=, may be null*/, int64_t rows, int64_t dim, int64_t vocab, float cap);

// --- hints.cu: out [rows, 4]
template <class T>
void head_hints(Launch& l, const T* x, const T* table, const int32_t* targets, const int32_t* hints, float* out, int64_t rows,
                int64_t dim, int64_t vocab, float cap, bool round_bf16);

// --- optim.cu, newton_schulz.cu: always float
void sum_squares(Launch& l, const float* x, float* out, int64_t count);
void clip_scale(Launch& l, const float* sum, float max_norm, float* coefficient, float* norm);
void muon_direction(Launch& l, const float* g, const float* coefficient, const float* momentum, float* u, float* buffer, int64_t n,
                    int64_t rows, int64_t cols, bool row_norm, bool round_bf16);
void newton_schulz(Launch& l, const float* u, float* out, int64_t n, int64_t rows, int64_t cols, int64_t steps, bool round_bf16);
void muon_apply(Launch& l, float* w, const float* u, const float* lr, float weight_decay, float factor, bool round_bf16,
                int64_t count);
struct AdamWStep {
  const float *coefficient, *lr, *bias1, *bias2;
  float beta1, beta2, eps, weight_decay;
  bool round_bf16;
};
void adamw(Launch& l, float* p, const float* g, float* m, float* v, const AdamWStep& step, int64_t count);
void sgd(Launch& l, float* p, const float* g, float* buffer, const float* coefficient, const float* lr, float momentum, int64_t count);
void ema(Launch& l, float* e, const float* w, float decay, int64_t count);

// --- sha256.cu: SHA-256 of each leaf of kLeafBytes (formats/sha256.h) -> out [leaves], words as numbers
struct Sha256Words;
void leaf_digests(cudaStream_t stream, const void* data, size_t bytes, Sha256Words* out);

}  // namespace sixteen::cuda
