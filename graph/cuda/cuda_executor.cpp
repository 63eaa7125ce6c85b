// From nodes to kernels: one switch over the closed list, without default; and when a run is a replay.
#include "graph/cuda/cuda_executor.h"

#include "graph/node_view.h"

namespace sixteen::cuda {
namespace {

// Graphs that compute gradients train: their products may use whatever algorithm is fastest. All others score.
bool has_gradients(const Graph& graph) {
  for (const Node& node : graph.nodes()) {
    if (node.op == Op::kHeadLoss || std::string(op_name(node.op)).find("_grad") != std::string::npos) return true;
  }
  return false;
}

}  // namespace

// The dry run (launch.h) sees made-up, aligned addresses; those of temporaries differ as they will.
CudaExecutor::CudaExecutor(std::shared_ptr<Card> card, Graph graph, Plan plan)
    : card_(std::move(card)), graph_(std::move(graph)), plan_(std::move(plan)), launch_(card_->stream, card_->gemm.get()) {
  CHECK(graph_.dtype() == DType::kF32 || graph_.dtype() == DType::kBF16);
  address_.assign(graph_.values().size(), nullptr);
  place_temporaries(reinterpret_cast<std::byte*>(kAlignment));
  launch_.row_invariant = !has_gradients(graph_);
  launch_.dry = true;
  run_nodes();
  launch_.dry = false;
}

CudaExecutor::CudaExecutor(std::shared_ptr<Card> card, Graph graph, Plan plan, Buffer arena)
    : CudaExecutor(std::move(card), std::move(graph), std::move(plan)) {
  arena_ = std::move(arena);
  CHECK(static_cast<int64_t>(arena_.bytes()) >= plan_.arena_bytes);
  place_temporaries(arena_.data());
  scratch_ = card_allocate(card_, launch_.scratch_needed());
  launch_.set_scratch(scratch_.data(), launch_.scratch_needed());
}

int64_t CudaExecutor::dry_scratch_bytes(std::shared_ptr<Card> card, const Graph& graph, const Plan& plan) {
  return static_cast<int64_t>(CudaExecutor(std::move(card), graph, plan).launch_.scratch_needed());
}

void CudaExecutor::place_temporaries(std::byte* arena) {
  for (size_t i = 0; i < address_.size(); ++i) {
    if (plan_.offset[i] >= 0) address_[i] = arena + plan_.offset[i];
  }
}

CudaExecutor::~CudaExecutor() { drop_captured(); }

void CudaExecutor::drop_captured() {
  if (captured_ != nullptr) {
    cudaStreamSynchronize(card_->stream);
    cudaGraphExecDestroy(captured_);
  }
  captured_ = nullptr;
  runs_ = 0;
}

void CudaExecutor::bind(ValueId id, void* data) {
  const ValueKind kind = graph_.value(id).kind;
  CHECK(kind == ValueKind::kInput || kind == ValueKind::kWeight || kind == ValueKind::kState);
  CHECK(reinterpret_cast<uintptr_t>(data) % (kind == ValueKind::kState ? kPackBytes : kAlignment) == 0);
  if (address_[id] == data) return;
  address_[id] = static_cast<std::byte*>(data);
  drop_captured();
}

std::byte* CudaExecutor::address(ValueId id) const {
  const Value& value = graph_.value(id);
  std::byte* base = address_[graph_.base_of(id)];
  if (base == nullptr && launch_.dry) base = reinterpret_cast<std::byte*>(kAlignment);
  CHECK(base != nullptr);
  return base + value.offset * static_cast<int64_t>(dtype_bytes(value.dtype));
}

void* CudaExecutor::data(ValueId id) { return address(id); }

void CudaExecutor::run() {
  if (captured_ == nullptr && runs_ > 0) {
    cudaGraph_t graph = nullptr;
    SIXTEEN_CUDA_CHECK(cudaStreamBeginCapture(card_->stream, cudaStreamCaptureModeThreadLocal));
    run_nodes();
    SIXTEEN_CUDA_CHECK(cudaStreamEndCapture(card_->stream, &graph));
    SIXTEEN_CUDA_CHECK(cudaGraphInstantiate(&captured_, graph, 0));
    SIXTEEN_CUDA_CHECK(cudaGraphDestroy(graph));
  }
  ++runs_;
  if (captured_ != nullptr) SIXTEEN_CUDA_CHECK(cudaGraphLaunch(captured_, card_->stream));
  else run_nodes();
}

std::vector<double> CudaExecutor::node_times_us(int repeats) {
  const std::vector<Node>& nodes = graph_.nodes();
  std::vector<cudaEvent_t> events(nodes.size() + 1);
  for (cudaEvent_t& event : events) SIXTEEN_CUDA_CHECK(cudaEventCreate(&event));
  std::vector<double> times(nodes.size(), 0.0);
  for (int r = 0; r < repeats; ++r) {
    run_nodes();  // keeps the card busy while the host gets ahead of it: launches then cost no node its time
    SIXTEEN_CUDA_CHECK(cudaEventRecord(events[0], card_->stream));
    for (size_t i = 0; i < nodes.size(); ++i) {
      launch_.begin_node();
      run_node(nodes[i]);
      SIXTEEN_CUDA_CHECK(cudaEventRecord(events[i + 1], card_->stream));
    }
    SIXTEEN_CUDA_CHECK(cudaEventSynchronize(events.back()));
    for (size_t i = 0; i < nodes.size(); ++i) {
      float ms = 0;
      SIXTEEN_CUDA_CHECK(cudaEventElapsedTime(&ms, events[i], events[i + 1]));
      times[i] += 1000.0 * ms / repeats;
    }
  }
  for (cudaEvent_t event : events) SIXTEEN_CUDA_CHECK(cudaEventDestroy(event));
  return times;
}

void CudaExecutor::run_nodes() {
  for (const Node& node : graph_.nodes()) {
    launch_.begin_node();
    run_node(node);
  }
}

// A node's operands as kernels want them.
struct CudaExecutor::Call : NodeView {
  Call(CudaExecutor& executor, const Node& node) : NodeView{executor.graph_, node}, e(executor) {}
  CudaExecutor& e;

  DType in_type(int i) const { return e.graph_.value(n.in[i]).dtype; }
  DType out_type(int i) const { return e.graph_.value(n.out[i]).dtype; }
  template <class T>
  T* in(int i) const {
    return typed<T>(n.in[i]);
  }
  template <class T>
  T* out(int i) const {
    return typed<T>(n.out[i]);
  }
  int64_t count(int i) const { return in_shape(i).numel(); }

 private:
  template <class T>
  T* typed(ValueId id) const {
    using Plain = std::remove_const_t<T>;
    constexpr DType kWanted = std::is_same_v<Plain, int32_t> ? DType::kI32 : std::is_same_v<Plain, bf16> ? DType::kBF16 : DType::kF32;
    CHECK(e.graph_.value(id).dtype == kWanted);
    return reinterpret_cast<T*>(e.address(id));
  }
};

namespace {

// f(From(), To()) for the types of an op that converts.
template <class F>
void with_types(DType from, DType to, F f) {
  if (from == DType::kF32 && to == DType::kF32) return f(float(), float());
  if (from == DType::kF32) return f(float(), bf16());
  if (to == DType::kF32) return f(bf16(), float());
  f(bf16(), bf16());
}

template <class Call>
void run_scale(Launch& l, const Call& c, const float* s, bool add) {
  with_types(c.in_type(0), c.out_type(0), [&](auto from, auto to) {
    scale(l, c.template in<const decltype(from)>(0), s, static_cast<float>(c.n.attrs.alpha), c.template out<decltype(to)>(0), add,
          c.count(0));
  });
}

template <class Call>
void run_embedding(Launch& l, const Call& c) {
  with_types(c.in_type(1), c.out_type(0), [&](auto from, auto to) {
    if constexpr (sizeof(from) >= sizeof(to)) {
      embedding(l, c.template in<const int32_t>(0), c.template in<const decltype(from)>(1), c.template out<decltype(to)>(0), c.count(0),
                c.dim(1));
    } else {
      CHECK(false);  // a bf16 table in an fp32 graph
    }
  });
}

template <class Call>
void run_fake_quant(Launch& l, const Call& c) {
  with_types(c.in_type(0), c.out_type(0), [&](auto from, auto to) {
    if constexpr (sizeof(from) >= sizeof(to)) {
      fake_quant(l, c.template in<const decltype(from)>(0), c.template out<decltype(to)>(0), static_cast<float>(c.n.attrs.alpha), c.rows(0),
                 c.dim(0));
    } else {
      CHECK(false);
    }
  });
}

template <class Call>
void run_scale_rows(Launch& l, const Call& c) {
  using F = const float;
  if (c.out_type(0) == DType::kF32) scale_rows(l, c.template in<F>(0), c.template in<F>(1), c.template out<float>(0), c.rows(0), c.dim(0));
  else scale_rows(l, c.template in<F>(0), c.template in<F>(1), c.template out<bf16>(0), c.rows(0), c.dim(0));
}

template <class T, class Call>
void run_matmul(Launch& l, const Call& c, const Attrs& a) {
  const Shape &sa = c.in_shape(0), &sb = c.in_shape(1), &sc = c.out_shape(0);
  const MatmulShape shape{a.ta, a.tb, sc[0], sc[1], a.ta ? sa[0] : sa[1], sa[1], sb[1], sc[1], c.adds(0)};
  if (c.out_type(0) == DType::kF32) {
    matmul(l, shape, c.template in<const T>(0), c.template in<const T>(1), c.template out<float>(0));
  } else if constexpr (std::is_same_v<T, bf16>) {
    matmul(l, shape, c.template in<const T>(0), c.template in<const T>(1), c.template out<bf16>(0));
  } else {
    CHECK(false);  // fp32 operands, bf16 result
  }
}

template <class T, class Call>
LaneMix<T> lane_mix_inputs(const Call& c) {
  using F = const float;
  return {c.template in<const T>(0), c.template in<const T>(1), c.template in<const T>(2), c.template in<F>(3),
          c.template in<F>(4),       c.template in<F>(5),       c.template in<F>(6),       c.template in<F>(7)};
}

template <class T, class Call>
void run_lane_mix_grad(Launch& l, const Call& c) {
  const LaneMixGrad<T> out{c.template out<T>(0),     c.template out<T>(1),     c.template out<T>(2),     c.adds(0),
                           c.adds(1),                c.adds(2),                c.template out<float>(3), c.template out<float>(4),
                           c.template out<float>(5), c.template out<float>(6), c.template out<float>(7)};
  lane_mix_grad<T>(l, lane_mix_inputs<T>(c), c.template in<const T>(8), out, c.rows(0), c.dim(0));
}

template <class Call>
HeadNormShape head_norm_shape(const Call& c, const Attrs& a) {
  return {c.rows(0), a.heads, c.dim(0) / a.heads, a.seq, c.dim(1)};
}

template <class T, class Call>
void run_head_norm_grad(Launch& l, const Call& c, const Attrs& a) {
  using F = const float;
  const bool gain = c.n.in.size() > 4;
  head_norm_grad<T>(l, c.template in<const T>(0), c.template in<F>(1), c.template in<F>(2), gain ? c.template in<F>(3) : nullptr,
                    c.template in<const T>(gain ? 4 : 3), c.template out<T>(0), c.adds(0), gain ? c.template out<float>(1) : nullptr,
                    head_norm_shape(c, a), static_cast<float>(a.eps));
}

template <class Call>
AttentionDims attention_dims(const Call& c, const Attrs& a) {
  return {c.rows(1) / a.seq, a.seq, a.query_rows, a.heads, a.kv_heads, c.dim(0) / a.heads};
}

template <class Call>
AttentionDims xsa_dims(const Call& c, const Attrs& a) {
  return {1, c.rows(0), c.rows(0), a.heads, a.kv_heads, c.dim(0) / a.heads};
}

template <class T, class Call>
void run_attention_grad(Launch& l, const Call& c, const Attrs& a) {
  const float* along = c.n.op == Op::kAttentionXsaGrad ? c.template in<const float>(6) : nullptr;
  const AttentionGrad<T> grad{c.template in<const T>(0),     c.template in<const T>(1), c.template in<const T>(2), c.template in<const T>(3),
                              c.template in<const float>(4), along,                     c.template in<const T>(5), c.template out<T>(0),
                              c.template out<T>(1),          c.template out<T>(2),      c.adds(0),                 c.adds(1),
                              c.adds(2)};
  attention_grad<T>(l, grad, attention_dims(c, a), static_cast<float>(a.alpha));
}

}  // namespace

// In the type of the first floating-point operand, or of the output where there is none.
void CudaExecutor::run_node(const Node& node) {
  DType type = graph_.value(node.out[0]).dtype;
  for (auto in = node.in.rbegin(); in != node.in.rend(); ++in) {
    if (graph_.value(*in).dtype != DType::kI32) type = graph_.value(*in).dtype;
  }
  if (type == DType::kBF16) run_typed<bf16>(node);
  else run_typed<float>(node);
}

template <class T>
void CudaExecutor::run_typed(const Node& node) {
  const Call c(*this, node);
  const Attrs& a = node.attrs;
  Launch& l = launch_;
  const float alpha = static_cast<float>(a.alpha), beta = static_cast<float>(a.beta), eps = static_cast<float>(a.eps);
  using I = const int32_t;
  using F = const float;
  using X = const T;
  switch (node.op) {
    case Op::kEmbedding: return run_embedding(l, c);
    case Op::kEmbeddingGrad:
      return embedding_grad<T>(l, c.in<I>(0), c.in<X>(1), c.out<float>(0), c.rows(1), c.dim(1), c.out_shape(0)[0]);
    case Op::kBigramHash:
      if (a.xor_pairs) return pair_hash(l, c.in<I>(0), c.out<int32_t>(0), c.count(0), a.seq, a.buckets);
      return bigram_hash(l, c.in<I>(0), c.out<int32_t>(0), c.count(0), a.seq, a.buckets, a.multiplier, a.own_previous);
    case Op::kTailRows: return tail_rows<T>(l, c.in<X>(0), c.out<T>(0), c.rows(0) / a.seq, a.seq, a.query_rows, c.dim(0));
    case Op::kMatmul: return run_matmul<T>(l, c, a);
    case Op::kLinearAdd:
      return linear_add<T>(l, c.in<X>(0), c.in<X>(1), c.in<X>(2), c.out<T>(0), c.rows(0), c.rows(1), c.dim(0));
    case Op::kLinearLeakyReluSq:
      return linear_leaky_relu_sq<T>(l, c.in<X>(0), c.in<X>(1), c.out<T>(0), node.out.size() > 1 ? c.out<T>(1) : nullptr,
                                     {c.rows(0), c.rows(1), c.dim(0)}, alpha);
    case Op::kMatmulLeakyReluSqGrad:
      return matmul_leaky_relu_sq_grad<T>(l, c.in<X>(0), c.in<X>(1), c.in<X>(2), c.out<T>(0), c.adds(0),
                                          {c.rows(0), c.dim(1), c.dim(0)}, alpha);
    case Op::kFill: return fill_f32(l, c.out<float>(0), alpha, c.out_shape(0).numel());
    case Op::kScale: return run_scale(l, c, nullptr, c.adds(0));
    case Op::kScaleBy: return run_scale(l, c, c.in<F>(1), c.adds(0));
    case Op::kScaleByGrad:
      return scale_by_grad<T>(l, c.in<X>(0), c.in<F>(1), c.in<X>(2), alpha, c.out<T>(0), c.adds(0), c.out<float>(1), c.rows(0), c.dim(0));
    case Op::kAxpby: return axpby<T>(l, c.in<X>(0), c.in<X>(1), alpha, beta, c.out<T>(0), c.count(0));
    case Op::kAddRow: return add_row<T>(l, c.in<X>(0), c.in<F>(1), c.out<T>(0), c.rows(0), c.dim(0));
    case Op::kAddRowGrad: return add_row_grad<T>(l, c.in<X>(0), c.out<float>(0), c.rows(0), c.dim(0));
    case Op::kRmsNorm: return rms_norm<T>(l, c.in<X>(0), c.out<T>(0), c.rows(0), c.dim(0), alpha, eps);
    case Op::kRmsNormGrad:
      return rms_norm_grad<T>(l, c.in<X>(0), c.in<X>(1), c.out<T>(0), c.adds(0), c.rows(0), c.dim(0), alpha, eps);
    case Op::kResidualMix: return residual_mix<T>(l, c.in<X>(0), c.in<X>(1), c.in<F>(2), c.out<T>(0), c.rows(0), c.dim(0));
    case Op::kResidualMixGrad:
      return residual_mix_grad<T>(l, c.in<X>(0), c.in<X>(1), c.in<F>(2), c.in<X>(3), c.out<T>(0), c.adds(0), c.out<T>(1), c.adds(1),
                                  c.out<float>(2), c.rows(0), c.dim(0));
    case Op::kMixNorm:
      return mix_norm<T>(l, c.in<X>(0), c.in<X>(1), c.in<F>(2), c.out<T>(0), node.out.size() > 1 ? c.out<T>(1) : nullptr, c.rows(0),
                         c.dim(0), alpha, eps);
    case Op::kMixNormGrad:
      return mix_norm_grad<T>(l, c.in<X>(0), c.in<X>(1), c.in<F>(2), c.in<X>(3), node.in.size() > 4 ? c.in<X>(4) : nullptr, c.out<T>(0),
                              c.adds(0), c.out<T>(1), c.adds(1), c.out<float>(2), c.rows(0), c.dim(0), alpha, eps);
    case Op::kScaleRows: return run_scale_rows(l, c);
    case Op::kScaleRowsGrad:
      return scale_rows_grad(l, c.in<F>(0), c.in<F>(1), c.in<F>(2), c.out<float>(0), c.adds(0), c.out<float>(1), c.rows(0), c.dim(0));
    case Op::kAddScaled: return add_scaled<T>(l, c.in<X>(0), c.in<X>(1), c.in<F>(2), c.out<T>(0), c.rows(0), c.dim(0));
    case Op::kAddScaledGrad:
      return add_scaled_grad<T>(l, c.in<X>(0), c.in<F>(1), c.in<X>(2), c.out<T>(0), c.adds(0), c.out<float>(1), c.rows(0), c.dim(0));
    case Op::kSkipGate:
      return skip_gate<T>(l, c.in<X>(0), c.in<X>(1), c.in<F>(2), c.in<F>(3), c.out<T>(0), c.rows(0), c.dim(0));
    case Op::kSkipGateGrad:
      return skip_gate_grad<T>(l, c.in<X>(0), c.in<X>(1), c.in<F>(2), c.in<F>(3), c.in<X>(4), c.out<T>(0), c.adds(0), c.out<T>(1),
                               c.adds(1), c.out<float>(2), c.out<float>(3), c.rows(0), c.dim(0));
    case Op::kLaneMix: return lane_mix<T>(l, lane_mix_inputs<T>(c), c.out<T>(0), c.rows(0), c.dim(0));
    case Op::kLaneMixGrad: return run_lane_mix_grad<T>(l, c);
    case Op::kSmear: return smear<T>(l, c.in<X>(0), c.in<F>(1), c.out<T>(0), c.rows(0), c.dim(0), a.seq);
    case Op::kSmearGrad:
      return smear_grad<T>(l, c.in<X>(0), c.in<F>(1), c.in<X>(2), c.out<T>(0), c.adds(0), c.out<float>(1), c.rows(0), c.dim(0), a.seq);
    case Op::kLeakyReluSq: return leaky_relu_sq<T>(l, c.in<X>(0), c.out<T>(0), alpha, c.count(0));
    case Op::kLeakyReluSqGrad: return leaky_relu_sq_grad<T>(l, c.in<X>(0), c.in<X>(1), c.out<T>(0), c.adds(0), alpha, c.count(0));
    case Op::kFakeQuant: return run_fake_quant(l, c);
    case Op::kHeadNorm:
      return head_norm<T>(l, c.in<X>(0), c.in<F>(1), c.in<F>(2), node.in.size() > 3 ? c.in<F>(3) : nullptr, c.out<T>(0),
                          head_norm_shape(c, a), eps);
    case Op::kHeadNormGrad: return run_head_norm_grad<T>(l, c, a);
    case Op::kAttention:
      return attention<T>(l, c.in<X>(0), c.in<X>(1), c.in<X>(2), node.in.size() > 3 ? c.in<I>(3) : nullptr, c.out<T>(0), c.out<float>(1),
                          attention_dims(c, a), alpha);
    case Op::kAttentionXsa:
      return attention_xsa<T>(l, c.in<X>(0), c.in<X>(1), c.in<X>(2), c.out<T>(0), c.out<float>(1),
                              node.out.size() > 2 ? c.out<float>(2) : nullptr, attention_dims(c, a), alpha);
    case Op::kAttentionGrad: case Op::kAttentionXsaGrad: return run_attention_grad<T>(l, c, a);
    case Op::kXsa:
      return xsa<T>(l, c.in<X>(0), c.in<X>(1), c.out<T>(0), nullptr, xsa_dims(c, a));
    case Op::kXsaGrad:
      return xsa_grad<T>(l, c.in<X>(0), c.in<X>(1), c.in<X>(2), c.out<T>(0), c.adds(0), c.out<T>(1), c.adds(1), xsa_dims(c, a));
    case Op::kHeadGate: return head_gate<T>(l, c.in<X>(0), c.in<X>(1), c.in<F>(2), c.out<T>(0), c.rows(0), a.heads, c.dim(0) / a.heads);
    case Op::kHeadGateGrad:
      return head_gate_grad<T>(l, c.in<X>(0), c.in<X>(1), c.in<F>(2), c.in<X>(3), c.out<T>(0), c.adds(0), c.out<T>(1), c.adds(1),
                               c.out<float>(2), c.rows(0), a.heads, c.dim(0) / a.heads);
    case Op::kSoftcap: return softcap<T>(l, c.in<X>(0), c.out<T>(0), alpha, graph_.dtype() == DType::kBF16, c.count(0));
    case Op::kSoftcapGrad: return softcap_grad<T>(l, c.in<X>(0), c.in<X>(1), c.out<T>(0), c.adds(0), alpha, c.count(0));
    case Op::kHeadNll:
      return head_nll<T>(l, c.in<X>(0), c.in<X>(1), c.in<I>(2), c.out<float>(0), c.rows(0), c.dim(0), c.in_shape(1)[0], alpha,
                         a.round_bf16);
    case Op::kHeadHints:
      return head_hints<T>(l, c.in<X>(0), c.in<X>(1), c.in<I>(2), c.in<I>(3), c.out<float>(0), c.rows(0), c.dim(0), c.in_shape(1)[0],
                           alpha, a.round_bf16);
    case Op::kHeadLoss:
      return head_loss<T>(l, c.in<X>(0), c.in<X>(1), c.in<I>(2), c.in<F>(3), c.out<float>(0), c.out<T>(1),
                          node.out.size() > 2 ? c.out<float>(2) : nullptr, c.rows(0), c.dim(0), c.in_shape(1)[0], alpha);
    case Op::kSumSquares: return sum_squares(l, c.in<F>(0), c.out<float>(0), c.count(0));
    case Op::kClipScale: return clip_scale(l, c.in<F>(0), alpha, c.out<float>(0), c.out<float>(1));
    case Op::kMuonDirection:
      return muon_direction(l, c.in<F>(0), c.in<F>(1), c.in<F>(2), c.out<float>(0), c.out<float>(1), c.in_shape(0)[0], c.in_shape(0)[1],
                            c.in_shape(0)[2], a.row_norm, a.round_bf16);
    case Op::kNewtonSchulz:
      return newton_schulz(l, c.in<F>(0), c.out<float>(0), c.in_shape(0)[0], c.in_shape(0)[1], c.in_shape(0)[2], a.steps, a.round_bf16);
    case Op::kMuonApply:
      return muon_apply(l, c.out<float>(0), c.in<F>(0), c.in<F>(1), static_cast<float>(a.weight_decay), alpha, a.round_bf16, c.count(0));
    case Op::kAdamW:
      return adamw(l, c.out<float>(0), c.in<F>(0), c.out<float>(1), c.out<float>(2),
                   {c.in<F>(1), c.in<F>(2), c.in<F>(3), c.in<F>(4), beta, static_cast<float>(a.beta2), eps,
                    static_cast<float>(a.weight_decay), a.round_bf16},
                   c.count(0));
    case Op::kSgd: return sgd(l, c.out<float>(0), c.in<F>(0), c.out<float>(1), c.in<F>(1), c.in<F>(2), beta, c.count(0));
    case Op::kEma: return ema(l, c.out<float>(0), c.in<F>(0), alpha, c.count(0));
    case Op::kCast: return run_scale(l, c, nullptr, false);
  }
  CHECK(false);
}

}  // namespace sixteen::cuda
