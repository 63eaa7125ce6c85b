// How a model is scored: the [eval] section of a config file. Defaults are PR 1584's, except that the last partial window is
// scored too (drop_tail = true leaves it out, as the records do).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "evaluator/tap_in.h"
#include "formats/config_file.h"
#include "model/transformer.h"
#include "model/windows.h"

namespace sixteen {

struct TttConfig {             // score-first test-time training by SGD (spec_1584_1555 7.3)
  double lr = 0.005;           // of the first chunk; falls to 0 along half a cosine over the chunks
  int64_t epochs = 3;          // passes over a chunk once it is scored
  int64_t chunk = 32768;       // targets scored before each round of training
  int64_t batch_seqs = 32;     // windows of one step
  int64_t parts = 4;           // whose gradients are computed apart and added up in a tree: as many ranks share a step to the
                               // same bits. A power of two; a step of fewer windows has fewer. Moves rounding, nothing else
  double momentum = 0.9;
  double clip_norm = 1.0;      // global gradient norm; 0: none
  int64_t freeze_blocks = 0;   // first blocks whose control tensors stay as they are (matrices train on: SgdConfig)
  std::optional<Edge> edge;    // takes the place of [eval] edge (#754's own evaluator and its training one differ)
  FakeQuantConfig fake_quant;  // of the training forward pass alone: keys fake_quant = "none" | "projections" | "matrices" and
                               // fake_quant_low; #726 and #754 trained on it once their late QAT had switched on
};

struct EvalConfig {
  int64_t window = 0;          // tokens, any number; 0: the model's rope.train_len
  int64_t stride = 64;         // of sliding windows
  Edge edge = Edge::kExact;    // of sliding windows; the other rules exist for parity with records (model/windows.h)
  int64_t batch = 0;           // windows of one forward pass; 0: Session::score_batch(). Changes no bit
  bool drop_tail = false;
  bool logits_bf16 = false;    // trap T4
  TttConfig ttt;
  HashEmbedConfig hash{.buckets = 16384, .multiplier = 2039};
  double hash_lr_mult = 1;     // [eval.hash] lr_mult: the table's learning rate over ttt.lr; #1555: 10 (T9)
  TapInConfig tap_in;
};

EvalConfig read_eval_config(Section section, const std::string& where);
enum class Scoring : uint8_t { kPlain, kSliding, kTraining };  // kTraining: sliding windows and test-time training
// Also fills in `window` and, for kTraining, `edge`. Throws Error naming field, value and rule; looks at stride, edge and [eval.ttt] only when `scoring`
// uses them. Plain windows switch tap_in off.
void validate(EvalConfig* config, const ModelConfig& model, Scoring scoring, const std::string& where);

}  // namespace sixteen
