// Names and costs of the ops. Costs are the floor: bytes that must move once, flops that the definition needs.
#include "graph/op.h"

#include <algorithm>

#include "formats/check.h"
#include "graph/graph.h"

namespace sixteen {

const char* op_name(Op op) {
  switch (op) {
    case Op::kEmbedding: return "embedding";
    case Op::kEmbeddingGrad: return "embedding_grad";
    case Op::kBigramHash: return "bigram_hash";
    case Op::kTailRows: return "tail_rows";
    case Op::kMatmul: return "matmul";
    case Op::kLinearAdd: return "linear_add";
    case Op::kLinearLeakyReluSq: return "linear_leaky_relu_sq";
    case Op::kMatmulLeakyReluSqGrad: return "matmul_leaky_relu_sq_grad";
    case Op::kFill: return "fill";
    case Op::kScale: return "scale";
    case Op::kScaleBy: return "scale_by";
    case Op::kScaleByGrad: return "scale_by_grad";
    case Op::kAxpby: return "axpby";
    case Op::kAddRow: return "add_row";
    case Op::kAddRowGrad: return "add_row_grad";
    case Op::kRmsNorm: return "rms_norm";
    case Op::kRmsNormGrad: return "rms_norm_grad";
    case Op::kResidualMix: return "residual_mix";
    case Op::kResidualMixGrad: return "residual_mix_grad";
    case Op::kMixNorm: return "mix_norm";
    case Op::kMixNormGrad: return "mix_norm_grad";
    case Op::kScaleRows: return "scale_rows";
    case Op::kScaleRowsGrad: return "scale_rows_grad";
    case Op::kAddScaled: return "add_scaled";
    case Op::kAddScaledGrad: return "add_scaled_grad";
    case Op::kSkipGate: return "skip_gate";
    case Op::kSkipGateGrad: return "skip_gate_grad";
    case Op::kSmear: return "smear";
    case Op::kSmearGrad: return "smear_grad";
    case Op::kLaneMix: return "lane_mix";
    case Op::kLaneMixGrad: return "lane_mix_grad";
    case Op::kLeakyReluSq: return "leaky_relu_sq";
    case Op::kLeakyReluSqGrad: return "leaky_relu_sq_grad";
    case Op::kFakeQuant: return "fake_quant";
    case Op::kHeadNorm: return "head_norm";
    case Op::kHeadNormGrad: return "head_norm_grad";
    case Op::kAttention: return "attention";
    case Op::kAttentionGrad: return "attention_grad";
    case Op::kAttentionXsa: return "attention_xsa";
    case Op::kAttentionXsaGrad: return "attention_xsa_grad";
    case Op::kXsa: return "xsa";
    case Op::kXsaGrad: return "xsa_grad";
    case Op::kHeadGate: return "head_gate";
    case Op::kHeadGateGrad: return "head_gate_grad";
    case Op::kSoftcap: return "softcap";
    case Op::kSoftcapGrad: return "softcap_grad";
    case Op::kHeadNll: return "head_nll";
    case Op::kHeadHints: return "head_hints";
    case Op::kHeadLoss: return "head_loss";
    case Op::kSumSquares: return "sum_squares";
    case Op::kClipScale: return "clip_scale";
    case Op::kMuonDirection: return "muon_direction";
    case Op::kNewtonSchulz: return "newton_schulz";
    case Op::kMuonApply: return "muon_apply";
    case Op::kAdamW: return "adamw";
    case Op::kSgd: return "sgd";
    case Op::kEma: return "ema";
    case Op::kCast: return "cast";
  }
  CHECK(false);
}

namespace {

// Flops an element of the first input (or, where there is none, of the first output) of the ops that touch each element a
// fixed number of times; 0 for those with a formula of their own in node_flops.
double flops_per_element(Op op) {
  switch (op) {
    case Op::kEmbedding: case Op::kBigramHash: case Op::kTailRows: case Op::kFill: case Op::kClipScale: return 0;
    case Op::kCast: return 0;
    case Op::kLinearAdd: case Op::kLinearLeakyReluSq: case Op::kMatmulLeakyReluSqGrad: return 0;
    case Op::kMatmul: case Op::kAttention: case Op::kAttentionGrad: case Op::kAttentionXsa: case Op::kAttentionXsaGrad: return 0;
    case Op::kHeadNll: case Op::kHeadHints: case Op::kHeadLoss: case Op::kNewtonSchulz: case Op::kEmbeddingGrad: return 0;
    case Op::kScale: case Op::kScaleBy: case Op::kAddRow: case Op::kAddRowGrad: case Op::kHeadGate: case Op::kScaleRows: return 1;
    case Op::kScaleByGrad: case Op::kSmear: case Op::kHeadGateGrad: case Op::kScaleRowsGrad: return 3;
    case Op::kAxpby: case Op::kResidualMix: case Op::kLeakyReluSq: case Op::kEma: return 3;
    case Op::kAddScaled: case Op::kSumSquares: return 2;
    case Op::kRmsNorm: case Op::kSoftcap: case Op::kMuonApply: return 4;
    case Op::kAddScaledGrad: case Op::kLeakyReluSqGrad: case Op::kSgd: return 4;
    case Op::kSkipGate: case Op::kXsa: case Op::kSoftcapGrad: return 5;
    case Op::kResidualMixGrad: case Op::kLaneMix: return 6;
    case Op::kHeadNorm: case Op::kMuonDirection: case Op::kSmearGrad: case Op::kMixNorm: return 7;
    case Op::kFakeQuant: return 9;
    case Op::kRmsNormGrad: return 8;
    case Op::kSkipGateGrad: case Op::kXsaGrad: case Op::kAdamW: return 12;
    case Op::kHeadNormGrad: case Op::kMixNormGrad: return 14;
    case Op::kLaneMixGrad: return 16;
  }
  CHECK(false);
}

double node_flops(const Graph& graph, const Node& node) {
  const auto shape = [&](ValueId id) -> const Shape& { return graph.value(id).shape; };
  const Shape& first = node.in.empty() ? shape(node.out[0]) : shape(node.in[0]);
  const double elements = static_cast<double>(first.numel());
  switch (node.op) {
    case Op::kMatmul: case Op::kLinearAdd: case Op::kLinearLeakyReluSq: case Op::kMatmulLeakyReluSqGrad:
      return 2.0 * static_cast<double>(shape(node.out[0]).numel()) * static_cast<double>(node.attrs.ta ? first[0] : first[1]);
    case Op::kAttention: case Op::kAttentionXsa:
    case Op::kAttentionGrad: case Op::kAttentionXsaGrad: {
      // Causal: a query at position p sees p + 1 keys; two products forward, five backward (one recomputed).
      const double seq = static_cast<double>(node.attrs.seq), queries = static_cast<double>(node.attrs.query_rows);
      const double mean_keys = seq - (queries - 1) / 2;
      const bool forward = node.op == Op::kAttention || node.op == Op::kAttentionXsa;
      return (forward ? 4.0 : 10.0) * elements * mean_keys;
    }
    case Op::kHeadNll:
    case Op::kHeadHints:
      return 2.0 * elements * static_cast<double>(shape(node.in[1])[0]);
    case Op::kHeadLoss:
      return 6.0 * elements * static_cast<double>(shape(node.in[1])[0]);
    case Op::kNewtonSchulz: {
      const double r = static_cast<double>(std::min(first[1], first[2])), c = static_cast<double>(std::max(first[1], first[2]));
      return static_cast<double>(first[0] * node.attrs.steps) * (4 * r * r * c + 2 * r * r * r);
    }
    case Op::kEmbeddingGrad:
      return static_cast<double>(shape(node.in[1]).numel());
    default:
      return elements * flops_per_element(node.op);
  }
}

}  // namespace

Cost node_cost(const Graph& graph, const Node& node) {
  Cost cost;
  cost.flops = node_flops(graph, node);
  const auto bytes = [&](ValueId id) {
    const Value& value = graph.value(id);
    return static_cast<double>(value.shape.numel()) * static_cast<double>(dtype_bytes(value.dtype));
  };
  const bool gathers = node.op == Op::kEmbedding || node.op == Op::kTailRows;  // read as much as they write, no more
  for (size_t i = 0; i < node.in.size(); ++i) {
    const bool source = gathers && i == (node.op == Op::kEmbedding ? 1u : 0u);
    cost.bytes += source ? bytes(node.out[0]) : bytes(node.in[i]);
  }
  for (size_t i = 0; i < node.out.size(); ++i) {
    if (node.op == Op::kEmbeddingGrad) {
      cost.bytes += 2 * bytes(node.in[1]);  // only the rows that occur
      continue;
    }
    const bool state = graph.value(graph.base_of(node.out[i])).kind == ValueKind::kState;
    cost.bytes += bytes(node.out[i]) * (state || node.attrs.adds(static_cast<int>(i)) ? 2 : 1);
  }
  return cost;
}

Cost graph_cost(const Graph& graph) {
  Cost total;
  for (const Node& node : graph.nodes()) {
    const Cost cost = node_cost(graph, node);
    total.bytes += cost.bytes;
    total.flops += cost.flops;
  }
  return total;
}

}  // namespace sixteen
