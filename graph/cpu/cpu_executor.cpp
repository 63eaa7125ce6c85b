// From nodes to kernels: one switch over the closed list, without default.
#include "graph/cpu/cpu_executor.h"

#include <chrono>

#include "formats/check.h"
#include "graph/cpu/gemm.h"
#include "graph/cpu/kernels.h"
#include "graph/node_view.h"

namespace sixteen::cpu {

CpuExecutor::CpuExecutor(std::shared_ptr<ThreadPool> pool, std::shared_ptr<Communicator> ranks, Graph graph, Plan plan, Buffer arena)
    : pool_(std::move(pool)), ranks_(std::move(ranks)), graph_(std::move(graph)), plan_(std::move(plan)), arena_(std::move(arena)) {
  CHECK(static_cast<int64_t>(arena_.bytes()) >= plan_.arena_bytes && graph_.dtype() != DType::kBF16);
  address_.assign(graph_.values().size(), nullptr);
  for (size_t i = 0; i < address_.size(); ++i) {
    if (plan_.offset[i] >= 0) address_[i] = arena_.data() + plan_.offset[i];
  }
}

void CpuExecutor::bind(ValueId id, void* data) {
  const ValueKind kind = graph_.value(id).kind;
  CHECK(kind == ValueKind::kInput || kind == ValueKind::kWeight || kind == ValueKind::kState);
  address_[id] = static_cast<std::byte*>(data);
}

void* CpuExecutor::data(ValueId id) {
  const Value& value = graph_.value(id);
  std::byte* base = address_[graph_.base_of(id)];
  CHECK(base != nullptr);
  return base + value.offset * static_cast<int64_t>(dtype_bytes(value.dtype));
}

// A node's operands as kernels want them: pointers, shapes, and which outputs are added to.
struct CpuExecutor::Call : NodeView {
  Call(CpuExecutor& executor, const Node& node) : NodeView{executor.graph_, node}, e(executor) {}
  CpuExecutor& e;

  template <class T>
  T* in(int i) const {
    return static_cast<T*>(e.data(n.in[i]));
  }
  template <class T>
  T* out(int i) const {
    return static_cast<T*>(e.data(n.out[i]));
  }
};

namespace {

template <class T, class Call>
void run_matmul(ThreadPool& pool, const Call& c, const Attrs& a) {
  const Shape& sa = c.in_shape(0);
  const Shape& sb = c.in_shape(1);
  const Shape& sc = c.out_shape(0);
  gemm(pool, a.ta, a.tb, sc[0], sc[1], a.ta ? sa[0] : sa[1], c.template in<T>(0), sa[1], c.template in<T>(1), sb[1],
       c.template out<T>(0), sc[1], c.adds(0));
}

template <class T, class Call>
void run_lane_mix_grad(ThreadPool& pool, const Call& c) {
  const LaneMix<T> in{c.template in<T>(0), c.template in<T>(1), c.template in<T>(2), c.template in<T>(3),
                      c.template in<T>(4), c.template in<T>(5), c.template in<T>(6), c.template in<T>(7)};
  const LaneMixGrad<T> out{c.template out<T>(0), c.template out<T>(1), c.template out<T>(2), c.adds(0),
                           c.adds(1),            c.adds(2),            c.template out<T>(3), c.template out<T>(4),
                           c.template out<T>(5), c.template out<T>(6), c.template out<T>(7)};
  lane_mix_grad<T>(pool, in, c.template in<T>(8), out, c.rows(0), c.dim(0));
}

template <class Call>
HeadNormShape head_norm_shape(const Call& c, const Attrs& a) {
  return {c.rows(0), a.heads, c.dim(0) / a.heads, a.seq, c.dim(1)};
}

template <class Call>
AttentionDims attention_dims(const Call& c, const Attrs& a) {
  return {c.rows(1) / a.seq, a.seq, a.query_rows, a.heads, a.kv_heads, c.dim(0) / a.heads};
}

template <class T, class Call>
void run_attention(ThreadPool& pool, const Call& c, const Attrs& a, T alpha) {
  AttentionDims dims = attention_dims(c, a);
  if (c.n.in.size() > 3) {
    dims.seq = *c.template in<const int32_t>(3);
    CHECK(dims.seq >= a.query_rows && dims.seq <= a.seq);
  }
  attention<T>(pool, c.template in<T>(0), c.template in<T>(1), c.template in<T>(2), c.template out<T>(0), c.template out<T>(1), dims, alpha);
}

}  // namespace

template <class T>
void CpuExecutor::run_node(const Node& node) {
  const Call c(*this, node);
  const Attrs& a = node.attrs;
  ThreadPool& pool = *pool_;
  const T alpha = static_cast<T>(a.alpha), beta = static_cast<T>(a.beta), eps = static_cast<T>(a.eps);
  using I = const int32_t;
  switch (node.op) {
    case Op::kEmbedding: return embedding<T>(pool, c.in<I>(0), c.in<T>(1), c.out<T>(0), c.in_shape(0).numel(), c.dim(1));
    case Op::kEmbeddingGrad: return embedding_grad<T>(pool, c.in<I>(0), c.in<T>(1), c.out<T>(0), c.rows(1), c.dim(1));
    case Op::kBigramHash:
      if (a.xor_pairs) return pair_hash(c.in<I>(0), c.out<int32_t>(0), c.in_shape(0).numel(), a.seq, a.buckets);
      return bigram_hash(c.in<I>(0), c.out<int32_t>(0), c.in_shape(0).numel(), a.seq, a.buckets, a.multiplier, a.own_previous);
    case Op::kTailRows: return tail_rows<T>(pool, c.in<T>(0), c.out<T>(0), c.rows(0) / a.seq, a.seq, a.query_rows, c.dim(0));
    case Op::kMatmul: return run_matmul<T>(pool, c, a);
    case Op::kLinearAdd:
      return linear_add<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.out<T>(0), c.rows(0), c.rows(1), c.dim(0));
    case Op::kLinearLeakyReluSq:
      return linear_leaky_relu_sq<T>(pool, c.in<T>(0), c.in<T>(1), c.out<T>(0), node.out.size() > 1 ? c.out<T>(1) : nullptr, alpha,
                                     c.rows(0), c.rows(1), c.dim(0));
    case Op::kMatmulLeakyReluSqGrad:
      return matmul_leaky_relu_sq_grad<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.out<T>(0), c.adds(0), alpha, c.rows(0), c.dim(1),
                                          c.dim(0));
    case Op::kFill: return fill<T>(pool, c.out<T>(0), alpha, c.out_shape(0).numel());
    case Op::kScale: return scale<T>(pool, c.in<T>(0), nullptr, alpha, c.out<T>(0), c.adds(0), c.in_shape(0).numel());
    case Op::kScaleBy: return scale<T>(pool, c.in<T>(0), c.in<T>(1), alpha, c.out<T>(0), c.adds(0), c.in_shape(0).numel());
    case Op::kScaleByGrad:
      return scale_by_grad<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), alpha, c.out<T>(0), c.adds(0), c.out<T>(1), c.rows(0),
                              c.dim(0));
    case Op::kAddRow: return add_row<T>(pool, c.in<T>(0), c.in<T>(1), c.out<T>(0), c.rows(0), c.dim(0));
    case Op::kAddRowGrad: return add_row_grad<T>(pool, c.in<T>(0), c.out<T>(0), c.rows(0), c.dim(0));
    case Op::kFakeQuant: return fake_quant<T>(pool, c.in<T>(0), c.out<T>(0), alpha, c.rows(0), c.dim(0));
    case Op::kAxpby: return axpby<T>(pool, c.in<T>(0), c.in<T>(1), alpha, beta, c.out<T>(0), c.in_shape(0).numel());
    case Op::kRmsNorm: return rms_norm<T>(pool, c.in<T>(0), c.out<T>(0), c.rows(0), c.dim(0), alpha, eps);
    case Op::kRmsNormGrad:
      return rms_norm_grad<T>(pool, c.in<T>(0), c.in<T>(1), c.out<T>(0), c.adds(0), c.rows(0), c.dim(0), alpha, eps);
    case Op::kResidualMix:
      return residual_mix<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.out<T>(0), c.rows(0), c.dim(0));
    case Op::kResidualMixGrad:
      return residual_mix_grad<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.in<T>(3), c.out<T>(0), c.adds(0), c.out<T>(1),
                                  c.adds(1), c.out<T>(2), c.rows(0), c.dim(0));
    case Op::kMixNorm:
      return mix_norm<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.out<T>(0), node.out.size() > 1 ? c.out<T>(1) : nullptr,
                         c.rows(0), c.dim(0), alpha, eps);
    case Op::kMixNormGrad:
      return mix_norm_grad<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.in<T>(3), node.in.size() > 4 ? c.in<T>(4) : nullptr,
                              c.out<T>(0), c.adds(0), c.out<T>(1), c.adds(1), c.out<T>(2), c.rows(0), c.dim(0), alpha, eps);
    case Op::kScaleRows: return scale_rows<T>(pool, c.in<T>(0), c.in<T>(1), c.out<T>(0), c.rows(0), c.dim(0));
    case Op::kScaleRowsGrad:
      return scale_rows_grad<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.out<T>(0), c.adds(0), c.out<T>(1), c.rows(0), c.dim(0));
    case Op::kAddScaled: return add_scaled<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.out<T>(0), c.rows(0), c.dim(0));
    case Op::kAddScaledGrad:
      return add_scaled_grad<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.out<T>(0), c.adds(0), c.out<T>(1), c.rows(0),
                                c.dim(0));
    case Op::kSkipGate:
      return skip_gate<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.in<T>(3), c.out<T>(0), c.rows(0), c.dim(0));
    case Op::kSkipGateGrad:
      return skip_gate_grad<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.in<T>(3), c.in<T>(4), c.out<T>(0), c.adds(0),
                               c.out<T>(1), c.adds(1), c.out<T>(2), c.out<T>(3), c.rows(0), c.dim(0));
    case Op::kSmear: return smear<T>(pool, c.in<T>(0), c.in<T>(1), c.out<T>(0), c.rows(0), c.dim(0), a.seq);
    case Op::kSmearGrad:
      return smear_grad<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.out<T>(0), c.adds(0), c.out<T>(1), c.rows(0), c.dim(0),
                           a.seq);
    case Op::kLaneMix:
      return lane_mix<T>(pool,
                         {c.in<T>(0), c.in<T>(1), c.in<T>(2), c.in<T>(3), c.in<T>(4), c.in<T>(5), c.in<T>(6), c.in<T>(7)},
                         c.out<T>(0), c.rows(0), c.dim(0));
    case Op::kLaneMixGrad: return run_lane_mix_grad<T>(pool, c);
    case Op::kLeakyReluSq: return leaky_relu_sq<T>(pool, c.in<T>(0), c.out<T>(0), alpha, c.in_shape(0).numel());
    case Op::kLeakyReluSqGrad:
      return leaky_relu_sq_grad<T>(pool, c.in<T>(0), c.in<T>(1), c.out<T>(0), c.adds(0), alpha, c.in_shape(0).numel());
    case Op::kHeadNorm:
      return head_norm<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), node.in.size() > 3 ? c.in<T>(3) : nullptr, c.out<T>(0),
                          head_norm_shape(c, a), eps);
    case Op::kHeadNormGrad: {
      const bool gain = node.in.size() > 4;
      return head_norm_grad<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), gain ? c.in<T>(3) : nullptr, c.in<T>(gain ? 4 : 3),
                               c.out<T>(0), c.adds(0), gain ? c.out<T>(1) : nullptr, head_norm_shape(c, a), eps);
    }
    case Op::kAttention: return run_attention<T>(pool, c, a, alpha);
    case Op::kAttentionGrad:
      return attention_grad<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.in<T>(3), c.in<T>(4), c.in<T>(5), c.out<T>(0), c.adds(0),
                               c.out<T>(1), c.adds(1), c.out<T>(2), c.adds(2), attention_dims(c, a), alpha);
    case Op::kAttentionXsa:
      return attention_xsa<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.out<T>(0), c.out<T>(1),
                              node.out.size() > 2 ? c.out<T>(2) : nullptr, attention_dims(c, a), alpha);
    case Op::kAttentionXsaGrad:
      return attention_xsa_grad<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.in<T>(3), c.in<T>(4), c.in<T>(5), c.in<T>(6),
                                   c.out<T>(0), c.adds(0), c.out<T>(1), c.adds(1), c.out<T>(2), c.adds(2), attention_dims(c, a), alpha);
    case Op::kXsa:
      return xsa<T>(pool, c.in<T>(0), c.in<T>(1), c.out<T>(0), c.rows(0), a.heads, a.kv_heads, c.dim(0) / a.heads);
    case Op::kXsaGrad:
      return xsa_grad<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.out<T>(0), c.adds(0), c.out<T>(1), c.adds(1), c.rows(0), a.heads,
                         a.kv_heads, c.dim(0) / a.heads);
    case Op::kHeadGate:
      return head_gate<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.out<T>(0), c.rows(0), a.heads, c.dim(0) / a.heads);
    case Op::kHeadGateGrad:
      return head_gate_grad<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.in<T>(3), c.out<T>(0), c.adds(0), c.out<T>(1),
                               c.adds(1), c.out<T>(2), c.rows(0), a.heads, c.dim(0) / a.heads);
    case Op::kSoftcap: return softcap<T>(pool, c.in<T>(0), c.out<T>(0), alpha, c.in_shape(0).numel());
    case Op::kSoftcapGrad:
      return softcap_grad<T>(pool, c.in<T>(0), c.in<T>(1), c.out<T>(0), c.adds(0), alpha, c.in_shape(0).numel());
    case Op::kHeadNll:
      return head_nll<T>(pool, c.in<T>(0), c.in<T>(1), c.in<I>(2), c.out<T>(0), c.rows(0), c.dim(0), c.in_shape(1)[0], alpha,
                         a.round_bf16);
    case Op::kHeadHints:
      return head_hints<T>(pool, c.in<T>(0), c.in<T>(1), c.in<I>(2), c.in<I>(3), c.out<T>(0), c.rows(0), c.dim(0), c.in_shape(1)[0],
                           alpha, a.round_bf16);
    case Op::kHeadLoss:
      return head_loss<T>(pool, c.in<T>(0), c.in<T>(1), c.in<I>(2), c.in<T>(3), c.out<T>(0), c.out<T>(1),
                          node.out.size() > 2 ? c.out<T>(2) : nullptr, c.rows(0), c.dim(0), c.in_shape(1)[0], alpha);
    case Op::kSumSquares: return sum_squares<T>(pool, c.in<T>(0), c.out<T>(0), c.in_shape(0).numel());
    case Op::kClipScale: return clip_scale<T>(c.in<T>(0), alpha, c.out<T>(0), c.out<T>(1));
    case Op::kMuonDirection:
      return muon_direction<T>(pool, c.in<T>(0), c.in<T>(1), c.in<T>(2), c.out<T>(0), c.out<T>(1), c.in_shape(0)[0],
                               c.in_shape(0)[1], c.in_shape(0)[2], a.row_norm, a.round_bf16);
    case Op::kNewtonSchulz:
      return newton_schulz<T>(pool, c.in<T>(0), c.out<T>(0), c.in_shape(0)[0], c.in_shape(0)[1], c.in_shape(0)[2], a.steps,
                              a.round_bf16);
    case Op::kMuonApply:
      return muon_apply<T>(pool, c.out<T>(0), c.in<T>(0), c.in<T>(1), static_cast<T>(a.weight_decay), alpha, a.round_bf16,
                           c.in_shape(0).numel());
    case Op::kAdamW:
      return adamw<T>(pool, c.out<T>(0), c.in<T>(0), c.out<T>(1), c.out<T>(2),
                      {c.in<T>(1), c.in<T>(2), c.in<T>(3), c.in<T>(4), beta, static_cast<T>(a.beta2), eps,
                       static_cast<T>(a.weight_decay), a.round_bf16},
                      c.in_shape(0).numel());
    case Op::kSgd:
      return sgd<T>(pool, c.out<T>(0), c.in<T>(0), c.out<T>(1), c.in<T>(1), c.in<T>(2), beta, c.in_shape(0).numel());
    case Op::kEma: return ema<T>(pool, c.out<T>(0), c.in<T>(0), alpha, c.in_shape(0).numel());
    case Op::kCast:
      if (graph_.value(node.out[0]).dtype == DType::kBF16) return cast_bf16<T>(pool, c.in<T>(0), c.out<uint16_t>(0), c.in_shape(0).numel());
      return scale<T>(pool, c.in<T>(0), nullptr, T(1), c.out<T>(0), false, c.in_shape(0).numel());
  }
  CHECK(false);
}

void CpuExecutor::run_any(const Node& node) {
  if (graph_.dtype() == DType::kF64) run_node<double>(node);
  else run_node<float>(node);
}

void CpuExecutor::run() {
  for (const Node& node : graph_.nodes()) {
    ranks_->alive();
    run_any(node);
  }
}

std::vector<double> CpuExecutor::node_times_us(int repeats) {
  std::vector<double> times(graph_.nodes().size(), 0.0);
  for (int r = 0; r < repeats; ++r) {
    for (size_t i = 0; i < times.size(); ++i) {
      const auto begin = std::chrono::steady_clock::now();
      run_any(graph_.nodes()[i]);
      times[i] += std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count() / repeats;
    }
  }
  return times;
}

}  // namespace sixteen::cpu
