// See scoring.h.
#include "evaluator/scoring.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

// uncounted: begin
#include "evaluator/score_witness.h"
// uncounted: end

namespace sixteen {
namespace {

template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream line;
  (line << ... << parts);
  return line.str();
}

const char* fake_quant_name(FakeQuantConfig::Scope scope) {
  switch (scope) {
    case FakeQuantConfig::Scope::kNone: return "none";
    case FakeQuantConfig::Scope::kProjections: return "projections";
    case FakeQuantConfig::Scope::kMatrices: return "matrices";
  }
  return "";
}

std::string tap_in_text(const TapInConfig& t) {
  std::string line = text("matches of ", t.min_match, " to ", t.max_match, " tokens, hints among the ", t.top_k, " largest logits, weight ",
                          t.within_weight, " within");
  line += t.cross ? text(", ", t.cross_weight, " cross") : ", no cross matches";
  return t.entropy_min > 0 ? text(line, ", entropy of at least ", t.entropy_min, " nats") : line;
}

}  // namespace

ScoreOutcome run_scoring(const ScoreMethod& method, Session* session, std::span<const uint16_t> tokens, const ByteTables& tables,
                         int32_t bos, bool keep_nll, const Console& console, ScoreWitness* witness) {
  const int64_t targets = static_cast<int64_t>(tokens.size()) - 1;
  ScoreRun run(method, session, tokens, tables, bos);
  ScoreOutcome outcome;
  for (const Chunk& chunk : run.chunks()) outcome.windows.insert(outcome.windows.end(), chunk.windows.begin(), chunk.windows.end());
  outcome.dropped = method.config.drop_tail ? targets % method.config.window : 0;
  outcome.coverage = coverage(outcome.windows, targets - outcome.dropped);
  Progress progress(console, method.scoring == Scoring::kTraining ? "scoring and training" : "scoring", outcome.windows.size(), "windows");
  uint64_t windows = 0;
  std::string note;
  std::vector<float> nll;
  int64_t chunk = 0;
  // uncounted: begin
  if (witness != nullptr) chunk = witness->begin(&run, &outcome.sum, keep_nll ? &outcome.nll : nullptr);
  // uncounted: end
  for (int64_t before = 0; before < chunk; ++before) windows += run.chunks()[before].windows.size();
  for (; chunk < static_cast<int64_t>(run.chunks().size()); ++chunk) {
    // uncounted: begin
    if (witness != nullptr) run.set_stop_advice(witness->left());
    // uncounted: end
    const auto show = [&](int64_t done) { progress.update(windows + static_cast<uint64_t>(done), note); };
    nll.clear();
    const ScoreSum sum = run.score(chunk, &nll, show);
    outcome.sum.add(sum);
    if (keep_nll) outcome.nll.insert(outcome.nll.end(), nll.begin(), nll.end());
    // uncounted: begin
    if (witness != nullptr) {
      witness->scored(chunk, nll, sum);
      run.set_stop_advice(witness->left());
    }
    // uncounted: end
    windows += run.chunks()[chunk].windows.size();
    note = "bpb " + std::to_string(outcome.sum.bpb()).substr(0, 6);
    const std::vector<TttStep> steps = run.train(chunk);
    outcome.ttt_steps += static_cast<int64_t>(steps.size());
    // uncounted: begin
    if (witness != nullptr) witness->trained(chunk, steps);
    // uncounted: end
  }
  // uncounted: begin
  if (witness != nullptr) witness->finish(outcome.sum);
  // uncounted: end
  progress.finish();
  outcome.seconds = progress.seconds();
  outcome.tap_in = run.tap_in_counts();
  return outcome;
}

std::string method_text(const ScoreMethod& method) {
  const EvalConfig& c = method.config;
  if (method.scoring == Scoring::kPlain) return text("plain windows of ", c.window);
  std::string line = text("sliding windows of ", c.window, ", stride ", c.stride);
  if (c.edge != Edge::kExact) line += text(", edge rule ", edge_name(c.edge));
  if (method.scoring == Scoring::kTraining) {
    line += text(", score-first training (lr ", c.ttt.lr, ", ", c.ttt.epochs, " epochs)");
  }
  if (method.hash) line += text(", hash embedding of ", c.hash.buckets);
  if (c.tap_in.enabled) line += ", Tap-In";
  return line;
}

std::vector<std::string> score_notes(const ScoreMethod& method, const ScoreOutcome& outcome) {
  std::vector<std::string> notes;
  if (method.scoring != Scoring::kPlain && method.config.edge != Edge::kExact) {
    notes.push_back(text("parity rule ", edge_name(method.config.edge), ": ", outcome.coverage.repeated,
                         " targets scored more than once, ", outcome.coverage.never, " targets never scored"));
  }
  if (outcome.dropped > 0) notes.push_back(text("drop_tail: the last ", outcome.dropped, " targets fill no window and are not scored"));
  if (method.config.tap_in.enabled) {
    const TapInCounts& t = outcome.tap_in;
    notes.push_back(kTapInLabel);
    notes.push_back(text("Tap-In: ", t.hints, " hints (", t.cross_hints, " cross), ", t.kept, " kept (", t.kept_cross, " cross)"));
  }
  return notes;
}

std::vector<std::pair<std::string, std::string>> settings(const ScoreMethod& method) {
  const EvalConfig& c = method.config;
  std::vector<std::pair<std::string, std::string>> rows;
  if (method.scoring != Scoring::kPlain) rows.emplace_back("edge rule", edge_name(c.edge));
  rows.emplace_back("last partial window", c.drop_tail ? "dropped" : "scored");
  rows.emplace_back("logits", c.logits_bf16 ? "rounded to bf16" : "fp32");
  if (method.scoring == Scoring::kTraining) {
    const TttConfig& t = c.ttt;
    rows.emplace_back("training", text("lr ", t.lr, ", ", t.epochs, " epochs, chunks of ", t.chunk, " targets, ", t.batch_seqs,
                                       " windows a step in up to ", t.parts, " parts, momentum ", t.momentum, ", clip ", t.clip_norm, ", ", t.freeze_blocks,
                                       " blocks frozen, fake quantisation: ", fake_quant_name(t.fake_quant.scope)));
  }
  if (method.hash) {
    rows.emplace_back("hash embedding", text(c.hash.buckets, " rows, multiplier ", c.hash.multiplier, ", added ",
                                             c.hash.before_norm ? "before" : "after", " the norm, first token's predecessor: ",
                                             c.hash.own_previous ? "itself" : "id 0", ", lr x ", c.hash_lr_mult));
  }
  if (c.tap_in.enabled) rows.emplace_back("Tap-In", tap_in_text(c.tap_in));
  return rows;
}

nlohmann::json score_json(const ScoreMethod& method, const ScoreOutcome& outcome) {
  const ScoreSum& sum = outcome.sum;
  nlohmann::json json{{"bpb", sum.bpb()},
                      {"loss", sum.loss()},
                      {"targets", sum.targets},
                      {"repeated_targets", outcome.coverage.repeated},
                      {"unscored_targets", outcome.coverage.never},
                      {"dropped_targets", outcome.dropped},
                      {"bytes", sum.bytes},
                      {"windows", outcome.windows.size()},
                      {"ttt_steps", outcome.ttt_steps},
                      {"seconds", outcome.seconds},
                      {"method", method_text(method)},
                      {"notes", score_notes(method, outcome)}};
  if (method.scoring != Scoring::kPlain) json["edge"] = edge_name(method.config.edge);
  if (method.config.tap_in.enabled) {
    const TapInConfig& t = method.config.tap_in;
    json["tap_in"] = {{"hints", outcome.tap_in.hints},
                      {"cross_hints", outcome.tap_in.cross_hints},
                      {"kept_hints", outcome.tap_in.kept},
                      {"kept_cross_hints", outcome.tap_in.kept_cross},
                      {"min_match", t.min_match},
                      {"max_match", t.max_match},
                      {"top_k", t.top_k},
                      {"within_weight", t.within_weight},
                      {"cross_weight", t.cross_weight},
                      {"cross", t.cross},
                      {"entropy_min", t.entropy_min},
                      {"label", kTapInLabel}};
  }
  return json;
}

}  // namespace sixteen
