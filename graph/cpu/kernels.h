// The CPU kernels, as plain functions over pointers; T is float or double. cpu_executor.cpp calls them, one a node.
//
// Notation: R rows, D width, all row-major and dense. `add_*` true adds to that output instead of overwriting it. Outputs marked
// (+=) are gradients of parameters and always added to.
// Bites: row-invariance and independence of the number of threads (threads.h). Sums over rows go through blocks of kRowBlock
// rows, the blocks' partial sums are added in order. Sums over a row use the 16-lane order of simd.h.
#pragma once

#include <cstdint>

#include "graph/cpu/threads.h"

namespace sixteen::cpu {

// --- tokens (kernels_rows.cpp)
template <class T>
void embedding(ThreadPool& pool, const int32_t* ids, const T* table, T* y, int64_t rows, int64_t dim);
template <class T>  // rows of one id are added in row order, so without atomics the sum's order is fixed
void embedding_grad(ThreadPool& pool, const int32_t* ids, const T* dy, T* dtable /*+=*/, int64_t rows, int64_t dim);
void bigram_hash(const int32_t* ids, int32_t* index, int64_t rows, int64_t seq, int64_t buckets, int64_t multiplier,
                 bool own_previous);
void pair_hash(const int32_t* ids, int32_t* index, int64_t rows, int64_t seq, int64_t buckets);  // Attrs::xor_pairs
template <class T>
void tail_rows(ThreadPool& pool, const T* x, T* y, int64_t windows, int64_t seq, int64_t tail, int64_t dim);

// --- ops fused of others (kernels_fused.cpp)
template <class T>  // y [rows, n] = x [rows, n] + a [rows, k] w [n, k]^T
void linear_add(ThreadPool& pool, const T* a, const T* w, const T* x, T* y, int64_t rows, int64_t n, int64_t k);
template <class T>  // y = leaky_relu_sq of h = x [rows, k] w [n, k]^T; h may be null
void linear_leaky_relu_sq(ThreadPool& pool, const T* x, const T* w, T* y, T* h, T slope, int64_t rows, int64_t n, int64_t k);
template <class T>  // dh = leaky_relu_sq_grad of h and dy [rows, k] w [k, n]
void matmul_leaky_relu_sq_grad(ThreadPool& pool, const T* dy, const T* w, const T* h, T* dh, bool add_dh, T slope, int64_t rows,
                               int64_t n, int64_t k);
template <class T>  // y = rms_norm of m = residual_mix(x, x0, mix); m may be null
void mix_norm(ThreadPool& pool, const T* x, const T* x0, const T* mix, T* y, T* m, int64_t rows, int64_t dim, T alpha, T eps);
template <class T>  // dm: what comes back through m itself; may be null
void mix_norm_grad(ThreadPool& pool, const T* x, const T* x0, const T* mix, const T* dy, const T* dm, T* dx, bool add_dx, T* dx0,
                   bool add_dx0, T* dmix /*+=*/, int64_t rows, int64_t dim, T alpha, T eps);
template <class T>
void scale_rows(ThreadPool& pool, const T* w, const T* s, T* y, int64_t rows, int64_t dim);
template <class T>
void scale_rows_grad(ThreadPool& pool, const T* w, const T* s, const T* dy, T* dw, bool add_dw, T* ds /*+=*/, int64_t rows,
                     int64_t dim);

// --- rows (kernels_rows.cpp, kernels_lanes.cpp, kernels_gates.cpp)
template <class T>
void fill(ThreadPool& pool, T* y, T value, int64_t count);
template <class T>  // y = alpha x (s: and times *s when not null)
void scale(ThreadPool& pool, const T* x, const T* s, T alpha, T* y, bool add_y, int64_t count);
template <class T>  // of y = alpha s x
void scale_by_grad(ThreadPool& pool, const T* x, const T* s, const T* dy, T alpha, T* dx, bool add_dx, T* ds /*+=*/,
                   int64_t rows, int64_t dim);
template <class T>
void add_row(ThreadPool& pool, const T* x, const T* row, T* y, int64_t rows, int64_t dim);
template <class T>
void add_row_grad(ThreadPool& pool, const T* dy, T* drow /*+=*/, int64_t rows, int64_t dim);
template <class T>  // per row of w: see kFakeQuant
void fake_quant(ThreadPool& pool, const T* w, T* y, T low, int64_t rows, int64_t dim);
template <class T>
void axpby(ThreadPool& pool, const T* x, const T* y, T alpha, T beta, T* out, int64_t count);
template <class T>
void rms_norm(ThreadPool& pool, const T* x, T* y, int64_t rows, int64_t dim, T alpha, T eps);
template <class T>
void rms_norm_grad(ThreadPool& pool, const T* x, const T* dy, T* dx, bool add_dx, int64_t rows, int64_t dim, T alpha, T eps);
template <class T>
void residual_mix(ThreadPool& pool, const T* x, const T* x0, const T* mix, T* y, int64_t rows, int64_t dim);
template <class T>
void residual_mix_grad(ThreadPool& pool, const T* x, const T* x0, const T* mix, const T* dy, T* dx, bool add_dx, T* dx0,
                       bool add_dx0, T* dmix /*+=*/, int64_t rows, int64_t dim);
template <class T>
void add_scaled(ThreadPool& pool, const T* x, const T* a, const T* s, T* y, int64_t rows, int64_t dim);
template <class T>
void add_scaled_grad(ThreadPool& pool, const T* a, const T* s, const T* dy, T* da, bool add_da, T* ds /*+=*/, int64_t rows,
                     int64_t dim);
template <class T>
void skip_gate(ThreadPool& pool, const T* x, const T* skip, const T* w, const T* gate, T* y, int64_t rows, int64_t dim);
template <class T>
void skip_gate_grad(ThreadPool& pool, const T* x, const T* skip, const T* w, const T* gate, const T* dy, T* dx, bool add_dx,
                    T* dskip, bool add_dskip, T* dw /*+=*/, T* dgate /*+=*/, int64_t rows, int64_t dim);

template <class T>
void smear(ThreadPool& pool, const T* x, const T* gate, T* y, int64_t rows, int64_t dim, int64_t seq);
template <class T>
void smear_grad(ThreadPool& pool, const T* x, const T* gate, const T* dy, T* dx, bool add_dx, T* dgate /*+=*/, int64_t rows,
                int64_t dim, int64_t seq);

template <class T>
struct LaneMix {  // y = r lane + pa (sa a) + pf (sf f); r, pa, pf are single values
  const T *lane, *a, *f, *sa, *sf, *r, *pa, *pf;
};
template <class T>
struct LaneMixGrad {
  T *lane, *a, *f;                       // overwritten unless the flag says add
  bool add_lane, add_a, add_f;
  T *sa, *sf, *r, *pa, *pf;              // +=
};
template <class T>
void lane_mix(ThreadPool& pool, const LaneMix<T>& in, T* y, int64_t rows, int64_t dim);
template <class T>
void lane_mix_grad(ThreadPool& pool, const LaneMix<T>& in, const T* dy, const LaneMixGrad<T>& out, int64_t rows, int64_t dim);

template <class T>
void leaky_relu_sq(ThreadPool& pool, const T* h, T* y, T slope, int64_t count);
template <class T>
void leaky_relu_sq_grad(ThreadPool& pool, const T* h, const T* dy, T* dh, bool add_dh, T slope, int64_t count);

// --- attention (kernels_attention.cpp, kernels_attention_grad.cpp, kernels_heads.cpp)
struct HeadNormShape {
  int64_t rows, heads, head_dim, seq, rope_half;  // rope_half = rope dims / 2; position of row r = r mod seq
};
template <class T>  // gain may be null
void head_norm(ThreadPool& pool, const T* x, const T* cos, const T* sin, const T* gain, T* y, const HeadNormShape& s, T eps);
template <class T>
void head_norm_grad(ThreadPool& pool, const T* x, const T* cos, const T* sin, const T* gain, const T* dy, T* dx, bool add_dx,
                    T* dgain /*+=, may be null*/, const HeadNormShape& s, T eps);

struct AttentionDims {
  int64_t windows, seq, query_rows, heads, kv_heads, head_dim;  // query i of a window stands at position seq - query_rows + i
};
template <class T>  // causal softmax(scale q k^T) v; lse [windows, heads, query_rows] = log of the sum of exp(scale q.k)
void attention(ThreadPool& pool, const T* q, const T* k, const T* v, T* y, T* lse, const AttentionDims& d, T scale);
template <class T>  // query_rows == seq
void attention_grad(ThreadPool& pool, const T* q, const T* k, const T* v, const T* y, const T* lse, const T* dy, T* dq, bool add_dq,
                    T* dk, bool add_dk, T* dv, bool add_dv, const AttentionDims& d, T scale);
template <class T>
void xsa(ThreadPool& pool, const T* y, const T* v, T* out, int64_t rows, int64_t heads, int64_t kv_heads, int64_t head_dim);
template <class T>
void xsa_grad(ThreadPool& pool, const T* y, const T* v, const T* dout, T* dy, bool add_dy, T* dv, bool add_dv, int64_t rows,
              int64_t heads, int64_t kv_heads, int64_t head_dim);

template <class T>  // kernels_gates.cpp; z [rows, heads], bias [heads]
void head_gate(ThreadPool& pool, const T* y, const T* z, const T* bias, T* out, int64_t rows, int64_t heads, int64_t head_dim);
template <class T>
void head_gate_grad(ThreadPool& pool, const T* y, const T* z, const T* bias, const T* dout, T* dy, bool add_dy, T* dz,
                    bool add_dz, T* dbias /*+=*/, int64_t rows, int64_t heads, int64_t head_dim);

template <class T>  // kernels_fused.cpp; along [windows*query_rows, heads], may be null
void attention_xsa(ThreadPool& pool, const T* q, const T* k, const T* v, T* z, T* lse, T* along, const AttentionDims& d, T scale);
template <class T>
void attention_xsa_grad(ThreadPool& pool, const T* q, const T* k, const T* v, const T* z, const T* lse, const T* dz, const T* along,
                        T* dq, bool add_dq, T* dk, bool add_dk, T* dv, bool add_dv, const AttentionDims& d, T scale);

// --- head (kernels_head.cpp)
template <class T>
void softcap(ThreadPool& pool, const T* z, T* y, T cap, int64_t count);
template <class T>
void softcap_grad(ThreadPool& pool, const T* z, const T* dy, T* dz, bool add_dz, T cap, int64_t count);
template <class T>  // nll [R] = logsumexp(l) - l[target], l = cap tanh(x table^T / cap); logits exist in row chunks only
void head_nll(ThreadPool& pool, const T* x, const T* table, const int32_t* targets, T* nll, int64_t rows, int64_t dim, int64_t vocab,
              T cap, bool round_bf16);
template <class T>  // stats [rows, 4]
void head_hints(ThreadPool& pool, const T* x, const T* table, const int32_t* targets, const int32_t* hints, T* stats, int64_t rows,
                int64_t dim, int64_t vocab, T cap, bool round_bf16);
template <class T>  // dtable may be null
void head_loss(ThreadPool& pool, const T* x, const T* table, const int32_t* targets, const T* row_weight, T* nll, T* dx,
               T* dtable /*+=*/, int64_t rows, int64_t dim, int64_t vocab, T cap);

// --- optimisers (kernels_optim.cpp)
template <class T>
void sum_squares(ThreadPool& pool, const T* x, T* out, int64_t count);
template <class T>
void clip_scale(const T* sum, T max_norm, T* coefficient, T* norm);
template <class T>  // n matrices [rows, cols]; round_bf16: gradient and buffer as PR 1584 keeps them (spec 5.3)
void muon_direction(ThreadPool& pool, const T* g, const T* coefficient, const T* momentum, T* u, T* buffer, int64_t n, int64_t rows,
                    int64_t cols, bool row_norm, bool round_bf16);
template <class T>
void newton_schulz(ThreadPool& pool, const T* u, T* out, int64_t n, int64_t rows, int64_t cols, int64_t steps, bool round_bf16);
template <class T>
void muon_apply(ThreadPool& pool, T* w, const T* u, const T* lr, T weight_decay, T factor, bool round_bf16, int64_t count);
template <class T>
struct AdamWStep {
  const T *coefficient, *lr, *bias1, *bias2;  // single values
  T beta1, beta2, eps, weight_decay;
  bool round_bf16;  // p, m and v are stored rounded to bf16 (trap T1)
};
template <class T>
void adamw(ThreadPool& pool, T* p, const T* g, T* m, T* v, const AdamWStep<T>& step, int64_t count);
template <class T>
void sgd(ThreadPool& pool, T* p, const T* g, T* buffer, const T* coefficient, const T* lr, T momentum, int64_t count);
template <class T>
void ema(ThreadPool& pool, T* e, const T* w, T decay, int64_t count);
template <class T>  // y: bf16
void cast_bf16(ThreadPool& pool, const T* x, uint16_t* y, int64_t count);

}  // namespace sixteen::cpu
