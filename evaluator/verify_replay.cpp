// Chunks executed again (verify.h). On the ledger's own backend every loss and digest must have the same bits; on another one, and
// with the plain fp64 ops, losses must agree within what rounding explains.
//
// Bites: with --reference the losses come from graph/reference, which shares no kernel with any backend, but the graph's builder,
// the weights that training on `device` has left, and Tap-In's mixture are those of the scorer.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <sstream>

#include "evaluator/ledger_player.h"
#include "evaluator/verify.h"
#include "formats/error.h"
#include "graph/reference/reference.h"
#include "model/numpy_random.h"

namespace sixteen {
namespace {

constexpr int64_t kReferenceWindows = 2;  // of a chunk
// fp32 against fp64: sums of some thousand products of order 1, each rounded to 6e-8 (tests/evaluator measures 1e-5).
constexpr double kFp32Most = 1e-3, kFp32Mean = 1e-5;
// bf16 activations against fp32: 2^-9 of a stored value; tests/model finds 4e-3 on average over few targets.
constexpr double kBf16Most = 1.0, kBf16Mean = 4e-3;

struct Comparison {
  int64_t targets = 0, worst = -1;
  double most = 0, sum = 0;
  void add(int64_t target, double a, double b) {
    ++targets;
    sum += a - b;
    if (!(std::abs(a - b) <= most)) {
      most = std::abs(a - b);
      worst = target;
    }
  }
  double mean() const { return sum / static_cast<double>(std::max<int64_t>(targets, 1)); }
  std::string text() const {
    std::ostringstream line;
    line << targets << " losses, largest difference " << most << " nats, mean " << mean();
    return line.str();
  }
};

std::vector<int64_t> choose_chunks(const VerifyOptions& o, const LedgerCase& ledger) {
  std::vector<int32_t> all(ledger.chunks.size());
  std::iota(all.begin(), all.end(), 0);
  if (o.replay != "all") {
    NumpyRandom random(verify_seed(o, ledger));
    random.permutation(all);
    all.resize(std::min<size_t>(all.size(), static_cast<size_t>(std::stoll(o.replay))));
    std::sort(all.begin(), all.end());
  }
  return {all.begin(), all.end()};
}

std::vector<double> doubles(std::span<const float> values) { return {values.begin(), values.end()}; }

// Losses of one window by the fp64 interpreter.
std::vector<float> reference_losses(LedgerPlayer* player, const Window& window, const LedgerPlayer::Saved& state) {
  const LedgerCase& ledger = player->ledger();
  const EvalConfig& c = ledger.method.config;
  const bool mixes = c.tap_in.enabled;
  const ModelGraph model = build_model(ledger.model.config, *ledger.model.table,
                                       {.mode = mixes ? Mode::kLogits : Mode::kScore, .windows = 1, .seq = window.length, .tail = window.tail(),
                                        .hash = player->session().hash(), .logits_bf16 = c.logits_bf16});
  std::map<ValueId, std::vector<double>> bound;
  const auto bind = [&](const char* name, std::vector<double> values) {
    if (model.graph.has(name)) bound[model.graph.find(name)] = std::move(values);
  };
  const auto token = [&](int64_t i) { return i < static_cast<int64_t>(ledger.tokens.size()) ? double{static_cast<double>(ledger.tokens[i])} : 0.0; };
  std::vector<double> ids, targets;
  const int64_t end = window.start + window.length;
  for (int64_t i = window.start; i < end; ++i) ids.push_back(token(i));
  for (int64_t i = window.first_target(); i <= end; ++i) targets.push_back(token(i));
  std::vector<float> cos, sin;
  rope_tables(ledger.model.config.rope, window.length, &cos, &sin);
  bind("ids", ids);
  bind("targets", targets);
  bind("rope.cos", doubles(cos));
  bind("rope.sin", doubles(sin));
  bind("weights", doubles(state[0]));
  if (ledger.method.hash) bind("hash_emb.weight", doubles(state[2]));
  const auto values = reference::run_reference(model.graph, bound);
  std::vector<float> nll(static_cast<size_t>(window.scored));
  if (mixes) {
    const std::vector<double>& found = values[model.logits];
    std::vector<float> logits(found.begin(), found.begin() + window.scored * ledger.model.config.vocab);
    (*player->run().tap_in())(window, logits, nll);
  } else {
    std::copy_n(values[model.nll].begin(), window.scored, nll.begin());
  }
  return nll;
}

// Some windows of a chunk by reference, against the ledger's losses.
void compare_reference(LedgerPlayer* player, const ScoredChunk& chunk, NumpyRandom* random, Comparison* difference) {
  const std::vector<Window>& windows = player->run().chunks()[chunk.chunk].windows;
  const LedgerPlayer::Saved state = player->save();
  for (int64_t i = 0; i < std::min<int64_t>(kReferenceWindows, static_cast<int64_t>(windows.size())); ++i) {
    const size_t w = random->integers(static_cast<uint32_t>(windows.size()));
    size_t at = chunk.first_nll;
    for (size_t j = 0; j < w; ++j) at += static_cast<size_t>(windows[j].scored);
    const std::vector<float> found = reference_losses(player, windows[w], state);
    for (size_t j = 0; j < found.size(); ++j) {
      difference->add(windows[w].first_target() + static_cast<int64_t>(j), player->ledger().nll[at + j], found[j]);
    }
    stop_if_interrupted();
  }
}

void judge(const VerifyOptions& o, const LedgerPlayer& player, size_t chunks, const Comparison& d, int64_t first_other, Verdict* verdict) {
  const bool bf16 = !player.exact() || player.ledger().ledger.records[0].body.at("device").get<std::string>().starts_with("cuda");
  const double most = bf16 ? kBf16Most : kFp32Most, mean = bf16 ? kBf16Mean : kFp32Mean;
  const std::string how = std::to_string(chunks) + " of " + std::to_string(player.ledger().chunks.size()) + " chunks on " + o.device +
                          (o.reference ? " and with fp64 ops: " : ": ") + d.text();
  const bool bits = player.exact() && !o.reference;
  if (bits ? first_other >= 0 : !(d.most <= most && std::abs(d.mean()) <= mean)) {
    verdict->fault(Condition::kC3, "replay", how + (bits ? ", expected the same bits" : ", more than rounding explains"), bits ? first_other : d.worst);
  } else {
    verdict->pass(Condition::kC3, "replay", how + (bits ? ", bit for bit" : ""));
  }
  if (!player.update_faults().empty()) {
    verdict->fault(Condition::kC3, "replayed updates", player.update_faults());
  } else if (player.ledger().method.scoring == Scoring::kTraining && player.exact()) {
    verdict->pass(Condition::kC3, "replayed updates", "states after updates have the recorded digests");
  }
}

}  // namespace

uint64_t verify_seed(const VerifyOptions& o, const LedgerCase& ledger) {
  return o.seed != 0 ? static_cast<uint64_t>(o.seed) : std::stoull(ledger.ledger.head.substr(0, 15), nullptr, 16);
}

void check_replay(const VerifyOptions& o, const LedgerCase& ledger, Verdict* verdict) {
  if (o.replay.empty()) {
    verdict->skip(Condition::kC3, "replay", "give --replay N or --replay all: nothing was executed, so records are believed as far as they fit together");
    return;
  }
  LedgerPlayer player(o, ledger);
  NumpyRandom random(verify_seed(o, ledger) + 1);
  const std::vector<int64_t> chunks = choose_chunks(o, ledger);
  Comparison difference;
  int64_t first_other = -1;
  Progress progress(o.console, "replaying", chunks.size(), "chunks");
  for (size_t i = 0; i < chunks.size(); ++i) {
    const ScoredChunk& chunk = ledger.chunks[chunks[i]];
    player.go_to(chunks[i]);
    if (o.reference) {
      compare_reference(&player, chunk, &random, &difference);
    } else {
      const std::vector<float> found = player.score(chunks[i]);
      size_t at = 0;
      for (const Window& window : player.run().chunks()[chunks[i]].windows) {
        for (int64_t t = window.first_target(); t < window.first_target() + window.scored && at < chunk.count; ++t, ++at) {
          const float recorded = ledger.nll[chunk.first_nll + at];
          difference.add(t, recorded, found[at]);
          if (first_other < 0 && std::memcmp(&recorded, &found[at], sizeof(float)) != 0) first_other = t;
        }
      }
    }
    if (player.run().trains(chunks[i])) player.train(chunks[i]);
    progress.update(i + 1);
  }
  progress.finish();
  judge(o, player, chunks.size(), difference, first_other, verdict);
}

}  // namespace sixteen
