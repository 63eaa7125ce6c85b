// The closed list of ops. Every op answers the same questions, each in a switch without default, so that the compiler names
// what a new op still lacks: its name and cost (op.cpp), its shape rule (the Builder method that makes it), its gradient
// (autodiff.cpp), its CPU kernel (cpu/cpu_executor.cpp), its CUDA kernel (cuda/).
//
// Conventions, which bite:
// - Activations are [rows, width], rows = windows * seq; attention and head norms know seq from their attributes.
// - Outputs that are kState values (gradients, Hessians, optimiser state) are added to or updated in place, never overwritten
//   (kFill and kCast excepted). Outputs that are kTemp are overwritten, unless bit i of Attrs::add is set for output i: then added to.
// - Forward ops are row-invariant: a row's bits depend on that row alone (in attention: and on its keys, taken in tiles of
//   kAttentionTile from the window's start).
#pragma once

#include <cstdint>
#include <string>

namespace sixteen {

constexpr int64_t kAttentionTile = 64;

enum class Op : uint8_t {
  // tokens
  kEmbedding,       // ids [R] i32, table [V, D]            -> y [R, D] = table[ids]
  kEmbeddingGrad,   // ids, dy                              -> dtable (state)
  kBigramHash,      // ids [R] i32                          -> index [R] i32 = (previous * multiplier + id) mod buckets;
                    //    xor_pairs: (36313 id XOR 27191 previous) mod (buckets - 1), a window's first: buckets - 1
  kTailRows,        // x [windows*seq, D]                   -> y [windows*tail, D], the last `tail` rows of each window
  // dense
  kMatmul,          // a, b                                 -> op(a) op(b), transposed as ta, tb say
  kLinearAdd,       // a [R, K], w [N, K], x [R, N]         -> x + a w^T
  kLinearLeakyReluSq,     // x [R, K], w [N, K]             -> y = kLeakyReluSq of h (, h = x w^T: where a gradient will want it)
  kMatmulLeakyReluSqGrad, // dy [R, K], w [K, N], h [R, N]  -> dh = kLeakyReluSqGrad of h and dy w
  // rows
  kFill,            // (none)                               -> y = alpha everywhere (also state: overwritten)
  kScale,           // x                                    -> y = alpha x
  kScaleBy,         // x, s [1]                             -> y = alpha s x
  kScaleByGrad,     // x, s, dy                             -> dx, ds (state)
  kAxpby,           // x, y                                 -> alpha x + beta y
  kAddRow,          // x [R, D], row [D]                    -> x + row
  kAddRowGrad,      // dy                                   -> drow (state); dx is dy itself
  kRmsNorm,         // x [R, D]                             -> alpha x / sqrt(mean(x^2) + eps)
  kRmsNormGrad,     // x, dy                                -> dx
  kResidualMix,     // x, x0, mix [2, D]                    -> mix[0] x + mix[1] x0
  kResidualMixGrad, // x, x0, mix, dy                       -> dx, dx0, dmix (state)
  kMixNorm,         // x, x0, mix [2, D]                    -> kRmsNorm of m (, m = kResidualMix of x, x0, mix)
  kMixNormGrad,     // x, x0, mix, dy (, dm)                -> dx, dx0, dmix (state)
  kScaleRows,       // w [N, K], s [N]                      -> s_n w_n: a matrix that scales its product's channels
  kScaleRowsGrad,   // w, s, dy                             -> dw, ds (state)
  kAddScaled,       // x, a, s [D]                          -> x + s a
  kAddScaledGrad,   // a, s, dy                             -> da, ds (state); dx is dy itself
  kSkipGate,        // x, skip, w [D], gate [D]             -> g x + (1 - g) w skip, g = sigmoid(gate)
  kSkipGateGrad,    // x, skip, w, gate, dy                 -> dx, dskip, dw (state), dgate (state)
  kSmear,           // x [R, D], gate [D]                   -> (1 - g) x_t + g x_(t-1), g = sigmoid(gate), x_(-1) = 0
  kSmearGrad,       // x, gate, dy                          -> dx, dgate (state)
  kLaneMix,         // lane, a, f [R, D], sa, sf [D], r, pa, pf [1]  -> r lane + pa (sa a) + pf (sf f)
  kLaneMixGrad,     // lane, a, f, sa, sf, r, pa, pf, dy    -> dlane, da, df, dsa, dsf, dr, dpa, dpf (the last five state)
  kLeakyReluSq,     // h                                    -> h^2 for h > 0, (slope h)^2 otherwise; alpha = slope
  kLeakyReluSqGrad, // h, dy                                -> dh
  kFakeQuant,       // w [N, K]                             -> w + (q - w), q = s clamp(round(w / s), alpha, 31),
                    //    s = max(row's largest / 31, 1/31); the gradient passes through
  // attention
  kHeadNorm,        // x [R, heads*dh], cos, sin [>= seq, rope/2] (, gain [heads]) -> gain * rope(rms(x)) a head
  kHeadNormGrad,    // x, cos, sin (, gain), dy             -> dx (, dgain state)
  kAttention,       // q [windows*query_rows, H*dh], k, v [windows*seq, Hk*dh] -> y like q, lse [windows*H*query_rows];
                    //    with a fourth input, keys [1] i32: one window, of which only the first `keys` rows exist (CPU only)
  kAttentionGrad,   // q, k, v, y, lse, dy                  -> dq, dk, dv (query_rows == seq only)
  kAttentionXsa,    // q, k, v as kAttention's             -> z = kXsa of its y and the queries' rows of v, lse (, along [rows, H] =
                    //    y . vhat: where a gradient will want it)
  kAttentionXsaGrad, // q, k, v, z, lse, dz, along         -> dq, dk, dv (query_rows == seq only)
  kXsa,             // y [R, H*dh], v [R, Hk*dh]            -> y - (y . vhat) vhat, vhat = v / max(|v|, 1e-12)
  kXsaGrad,         // y, v, dz                             -> dy, dv
  kHeadGate,        // y [R, H*dh], z [R, H], bias [H]      -> each head of y times sigmoid(z + bias)
  kHeadGateGrad,    // y, z, bias, dout                     -> dy, dz, dbias (state)
  // head
  kSoftcap,         // z                                    -> cap tanh(z / cap); alpha = cap
  kSoftcapGrad,     // z, dy                                -> dz
  kHeadNll,         // x [R, D], table [V, D], targets [R] i32   -> nll [R] (nats) of softcapped logits; alpha = cap
  kHeadHints,       // the same and hints [R] i32 (-1: none)      -> [R, 4]: nll, the hint's nll (0), entropy (nats), the hint's rank:
                    //    how many capped logits are larger, or equal and of a smaller id (none: 0)
  kHeadLoss,        // as kHeadNll and row_weight [R]          -> nll, dx = d(sum row_weight nll)/dx, dtable (state)
  // optimisers; lr, momentum, ... are inputs [1], so that a captured step can be replayed
  kSumSquares,      // x                                    -> [1], in a fixed order
  kClipScale,       // s [1] = sum of squares               -> coefficient [1] = min(1, alpha / (norm + 1e-6)), norm [1]
  kMuonDirection,   // g, coefficient, momentum [1]         -> u, buffer (state): b = momentum b + g; u = g + momentum b
  kNewtonSchulz,    // u [n, r, c]                          -> five steps towards the nearest semi-orthogonal matrix, each of n
  kMuonApply,       // u, lr [1]                            -> w (state): w (1 - lr wd) - lr alpha u
  kAdamW,           // g, coefficient, lr, bias1, bias2     -> p, m, v (states); bias = 1 - beta^t
  kSgd,             // g, coefficient, lr                   -> p, b (states): b = beta b + g; p -= lr b
  kEma,             // w                                    -> e (state): alpha e + (1 - alpha) w
  kCast,            // x                                    -> y (state): overwritten with x, rounded to y's dtype
};

constexpr int kOpCount = static_cast<int>(Op::kCast) + 1;

const char* op_name(Op op);

// Attributes of a node; each op reads only the fields named beside it.
struct Attrs {
  uint32_t add = 0;          // bit i: output i (kTemp) is added to instead of overwritten
  double alpha = 1;          // a factor, slope, cap or bound: see the op
  double beta = 0;           // kAxpby; kAdamW beta1; kSgd momentum
  double beta2 = 0;          // kAdamW
  double eps = 0;            // kRmsNorm, kMixNorm, kHeadNorm, kAdamW
  double weight_decay = 0;   // kAdamW, kMuonApply
  bool ta = false, tb = false;  // kMatmul; kLinearAdd and kLinearLeakyReluSq are of the form tb
  bool round_bf16 = false;   // kHeadNll, kHeadHints: logits rounded after the softcap; optimisers: state and operands as the records round
  bool row_norm = false;     // kMuonDirection: rows of u divided by max(norm, 1e-7)
  int64_t heads = 0, kv_heads = 0;  // head ops
  int64_t seq = 0;           // rows of a window: ops that look beyond their row, kBigramHash
  int64_t query_rows = 0;    // kAttention, kAttentionXsa, kTailRows: the last rows of each window that are asked for
  int64_t buckets = 0, multiplier = 0;  // kBigramHash
  bool xor_pairs = false;    // kBigramHash: the rule of #549 to #754
  bool own_previous = false; // kBigramHash: at a window's start the previous token is the token itself, not id 0
  int64_t steps = 0;         // kNewtonSchulz

  bool adds(int output) const { return (add >> output & 1) != 0; }
};

}  // namespace sixteen
