// The one transformer builder: a ModelConfig and a mode become a Graph. Reads like the list of features (spec_1584 section 3).
//
// Bound values of the graph, by name: "ids" [windows*seq] i32; "targets" [scored rows] i32 and "row_weight" [windows*seq]
// where the mode has them; "rope.cos", "rope.sin" [seq, rope.dims/2]; "weights" (flat, parameter-table layout) whose views
// are the tensors; "weights.bf16" (the same as bf16: what products and embeddings read) in a bf16 graph; "grads" (flat, added to) in train; "hash_emb.weight" [buckets, dim] and, in train,
// "grad.hash_emb.weight" with a hash embedding; "hessian.NAME" [cols, cols] (added to) in calib, NAME as in the parameter
// table (c_q stands for c_q, c_k and c_v).
// Outputs: ids below; kNoValue where the mode has none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "model/config.h"
#include "model/params.h"

namespace sixteen {

enum class Mode : uint8_t {
  kTrain,   // head_loss: nll, gradients added to "grads"
  kScore,   // nll of the last `tail` rows of each window
  kHints,   // the same, and what a mixture with a hinted token asks (op.h, kHeadHints); "hints" [scored rows] i32
  kLogits,  // softcapped logits of the last `tail` rows of each window
  kCalib,   // Hessians
};

struct HashEmbedConfig {         // evaluation-time table (spec 7.4); buckets = 0: none. Defaults: #1584; both flags true: #1555 (T9)
  int64_t buckets = 0;
  int64_t multiplier = 2039;
  bool before_norm = false;      // added to the token embedding before its norm, not after
  bool own_previous = false;     // the token before a window's first is the first itself, not id 0
};

// Straight-through fake quantisation of weights in the training forward pass (spec_726_754 6.1): a row's step is
// max(largest / 31, 1/31), codes lie in low .. 31.
struct FakeQuantConfig {
  enum class Scope : uint8_t {
    kNone,
    kProjections,  // bigram.proj and ve_shared.proj alone: all that the records' code could reach
    kMatrices,     // and every matrix of attention and MLP: what their cards describe
  };
  Scope scope = Scope::kNone;
  int64_t low = -32;             // #754's first version: -31
};

struct BuildOptions {
  Mode mode = Mode::kTrain;
  int64_t windows = 1, seq = 1;
  int64_t tail = 0;              // 0: all rows
  bool looping = true;
  HashEmbedConfig hash{};
  DType dtype = DType::kF32;
  bool logits_bf16 = false;      // kScore, kHints: logits rounded after the softcap (trap T4)
  FakeQuantConfig fake_quant{};  // kTrain
  // kLogits, one window: its rows come in parts, `seq` of them now. Keys and values of up to cache_rows rows are kept outside
  // of the graph, in "cache.k.N" and "cache.v.N" [cache_rows, kv width] of the N-th visit of a layer; "cache.k.N.new" is where the
  // new rows go (bound to a place within the former). "keys" [1] i32 counts rows, the new ones included; rope tables hold the new
  // rows' positions. "ids" begin with the `lead` ids before the new ones: 2, or as many as the window has.
  int64_t cache_rows = 0, lead = 0;
};

struct ModelGraph {
  Graph graph;
  ValueId nll = kNoValue;        // [rows]; kHints: [rows, 4]
  ValueId logits = kNoValue;     // [rows, vocab]
  std::vector<ValueId> activations;  // outputs of attention, MLP and the final norm in call order, when `keep_activations`
};

ModelGraph build_model(const ModelConfig& config, const ParamTable& table, const BuildOptions& options, bool keep_activations = false);

// cos and sin tables [seq, dims/2] as spec 3.6 computes them (T3), fp32.
void rope_tables(const RopeConfig& rope, int64_t seq, std::vector<float>* cos, std::vector<float>* sin);

// Multiply-adds * 2 a token of forward + backward, counted as the field does: 6 * matrix parameters applied (tied head
// included, looped layers every visit) + 12 * mean context * dim a layer visit; forward alone is a third.
double train_flops_per_token(const ModelConfig& config, int64_t seq, bool looping);

}  // namespace sixteen
