// The model config: everything that decides which arithmetic the language model is, and nothing else.
//
// It is the [model] section of a TOML file and, as JSON, the metadata of checkpoints and artifacts. Keys are the field names
// below; nested structs are tables. to_json() writes every field in this order, so equal configs give equal bytes.
// Source of the schema: the options of the records #549 ... #1584 side by side.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/config_file.h"

namespace sixteen {

struct RopeConfig {
  int64_t dims = 16;           // of each head, rotated; even
  double base = 10000;
  int64_t train_len = 2048;    // longer windows use base * (L / train_len)^(dims / (dims - 2))
  bool round_bf16 = false;     // frequencies rounded to bf16 unless the base is rescaled (records: true, trap T3)
};

struct LoopConfig {            // depth recurrence; extra_passes = 0: none
  int64_t start = 0, end = 0;  // first and last looped layer, inclusive
  int64_t extra_passes = 0;
  double at_frac = 0.35;       // share of the training budget at which it switches on; evaluation always loops
  bool pass_embedding = false; // #1555: a learned vector a pass, added to the stream before layer `start`
};

struct BigramConfig {          // hashed pairs of tokens, added to the token embedding before its norm; rows = 0: none
  int64_t rows = 0;            // of the table; its last row is the one of a window's first token
  int64_t dim = 128;           // projected to the model's dim where they differ
};

// One shared token table, projected (where dim is not kv_heads * head_dim) and added to the values of some layers; dim = 0: none.
struct ValueEmbeddingConfig {
  int64_t dim = 0;
  std::vector<int64_t> layers; // ascending
};

struct ParallelConfig {
  std::string kind = "none";         // none | two_lane
  int64_t start_layer = 0;           // physical index, or position in the unrolled order
  bool start_is_physical = true;
  std::string final_lane = "mean";   // mean | mlp (lane 1) | attn (lane 0)
  bool skip_lane0_only = true;
  bool mlp_read_mix = false;
  bool freeze_lane0 = false;
  double resid_init = 1.1;           // initial parallel_resid_lambdas
};

struct ModelConfig {
  int64_t vocab = 8192;
  int64_t layers = 11, dim = 512, heads = 8, kv_heads = 4;
  int64_t mlp_hidden = 2048;
  double mlp_slope = 0.5;            // LeakyReLU(slope)^2
  RopeConfig rope;
  double qk_gain_init = 5.0;
  bool ln_scale = true;              // norms of layer i are multiplied by 1/sqrt(i+1)
  double softcap = 30;               // of the logits; 0: none
  bool tied_head = true;             // the token embedding is the output head; else lm_head.weight is
  int64_t xsa_last_n = 11;           // XSA in the last n layers
  std::string skip = "gated";        // none | additive | gated: U-Net skips
  BigramConfig bigram;
  bool smear = false;                // SmearGate: each channel mixed with its value one token earlier
  ValueEmbeddingConfig value_embedding;
  bool value_residual = false;       // the values of layers 1.. are blended with layer 0's by two learned weights
  bool gated_attention = false;      // a learned sigmoid a head on the attention's output
  LoopConfig loop;
  ParallelConfig parallel;
  double embed_init_std = 0.005;
  bool init_round_bf16 = false;      // every initial value rounded to bf16 once (trap T2)

  int64_t head_dim() const { return dim / heads; }
};

constexpr double kNormEps = 1.1920928955078125e-7;  // 2^-23, in every norm of the records

// Throws Error naming the field when sizes do not fit together.
void validate(const ModelConfig& config, const std::string& where);

ModelConfig read_model_config(Section section, const std::string& where);  // [model]; validated
std::string to_json(const ModelConfig& config);                            // canonical, one line
ModelConfig parse_model_json(const std::string& json, const std::string& where);  // refuses unknown and missing keys; validated

// The order in which layers are visited, cut into encoder (pushes skips) and decoder (pops them). Spec 3.4.
struct LayerOrder {
  std::vector<int64_t> encoder, decoder;
};
LayerOrder layer_order(const ModelConfig& config, bool looping);
int64_t skip_count(const ModelConfig& config);  // rows of skip_weights: the larger of both orders' pairs

}  // namespace sixteen
