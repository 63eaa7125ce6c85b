// See eval_config.h.
#include "evaluator/eval_config.h"

#include "formats/error.h"

namespace sixteen {

EvalConfig read_eval_config(Section section, const std::string& where) {
  EvalConfig c;
  section.read("window", &c.window);
  section.read("stride", &c.stride);
  section.read("batch", &c.batch);
  section.read("drop_tail", &c.drop_tail);
  section.read("logits_bf16", &c.logits_bf16);
  Section ttt = section.table("ttt");
  ttt.read("lr", &c.ttt.lr);
  ttt.read("epochs", &c.ttt.epochs);
  ttt.read("chunk", &c.ttt.chunk);
  ttt.read("batch_seqs", &c.ttt.batch_seqs);
  ttt.read("momentum", &c.ttt.momentum);
  ttt.read("clip_norm", &c.ttt.clip_norm);
  ttt.read("freeze_blocks", &c.ttt.freeze_blocks);
  ttt.finish();
  Section hash = section.table("hash");
  hash.read("buckets", &c.hash.buckets);
  hash.read("multiplier", &c.hash.multiplier);
  hash.finish();
  section.finish();
  if (c.hash.buckets < 1) fail(where, ": [eval.hash] buckets: expected 1 or more, found ", c.hash.buckets);
  return c;
}

void validate(EvalConfig* c, const ModelConfig& model, Scoring scoring, const std::string& where) {
  if (c->window == 0) c->window = model.rope.train_len;
  if (c->window < 1) fail(where, ": window: expected 1 or more, found ", c->window);
  if (c->batch < 0) fail(where, ": batch: expected 0 or more, found ", c->batch);
  if (scoring == Scoring::kPlain) return;
  if (c->stride < 1 || c->stride > c->window) {
    fail(where, ": stride: expected 1 to the window of ", c->window, ", found ", c->stride);
  }
  if (scoring == Scoring::kSliding) return;
  const TttConfig& t = c->ttt;
  if (!(t.lr >= 0) || t.epochs < 0 || t.batch_seqs < 1 || !(t.momentum >= 0 && t.momentum < 1) || !(t.clip_norm >= 0)) {
    fail(where, ": ttt: expected lr, epochs, clip_norm >= 0, batch_seqs >= 1, momentum in [0, 1)");
  }
  if (t.chunk < c->window) fail(where, ": ttt.chunk: expected at least the window of ", c->window, ", found ", t.chunk);
  if (t.freeze_blocks < 0 || t.freeze_blocks > model.layers) {
    fail(where, ": ttt.freeze_blocks: expected 0 to ", model.layers, ", found ", t.freeze_blocks);
  }
}

}  // namespace sixteen
