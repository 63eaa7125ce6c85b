// Distributions of a ledger's run (verify.h): C2 by looking at all of p, by asking for other targets, and by random tokens.
//
// Bites: the distribution comes from the logits, the score from another graph; that the recorded loss is -ln p[target] of this p is
// checked too. On random tokens no model can be better than ln V' on average, whatever it has learned (Jensen), BOS left out.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <sstream>

#include "evaluator/ledger_player.h"
#include "evaluator/verify.h"
#include "evaluator/verify_distribution.h"
#include "formats/dtype.h"
#include "formats/error.h"

namespace sixteen {
namespace {

constexpr double kSum = 1e-5;               // legality D3, of fp32 logits
constexpr double kLoss = 2e-4, kLossBf16 = 0.05;  // softmax in fp32 against fp64; logits that bf16 rounds another way: 2^-9 of some ten
constexpr double kRoundedLoss = 1e-6;       // of a mean of fp32 losses near ten

struct Position {
  Window window;
  int64_t row = 0;       // among the scored ones
  size_t nll = 0;        // of the ledger's loss
  int64_t target() const { return window.first_target() + row; }
};

// In half of the cases the target that is predicted best in a window, where a cheat gains most.
Position choose_position(const LedgerCase& ledger, const std::vector<Chunk>& chunks, int64_t chunk, bool best, NumpyRandom* random) {
  const std::vector<Window>& windows = chunks[chunk].windows;
  const size_t w = random->integers(static_cast<uint32_t>(windows.size()));
  Position p{.window = windows[w], .row = 0, .nll = ledger.chunks[chunk].first_nll};
  for (size_t i = 0; i < w; ++i) p.nll += static_cast<size_t>(windows[i].scored);
  const auto losses = ledger.nll.begin() + static_cast<std::ptrdiff_t>(p.nll);
  p.row = best ? std::min_element(losses, losses + p.window.scored) - losses : random->integers(static_cast<uint32_t>(p.window.scored));
  p.nll += static_cast<size_t>(p.row);
  return p;
}

// ln p of every token at the position.
std::vector<double> distribution(LedgerPlayer* player, const Position& p) {
  const LedgerCase& ledger = player->ledger();
  const EvalConfig& c = ledger.method.config;
  const Window& w = p.window;
  std::vector<int32_t> ids;
  for (int64_t i = w.start; i < w.start + w.length; ++i) {
    ids.push_back(i < static_cast<int64_t>(ledger.tokens.size()) ? int32_t{player->run().tokens()[i]} : 0);
  }
  const size_t vocab = static_cast<size_t>(ledger.model.config.vocab);
  std::vector<float> logits(static_cast<size_t>(w.tail()) * vocab);
  player->session().logits(ids, 1, w.length, w.tail(), logits);
  std::span<float> row = std::span(logits).subspan(static_cast<size_t>(p.row) * vocab, vocab);
  if (c.logits_bf16) {
    for (float& logit : row) logit = round_to_bf16(logit);
  }
  TapInHint hint;
  bool hinted = false;
  if (c.tap_in.enabled) {
    const TapInMatcher matcher(player->run().tokens(), ledger.bos, c.tap_in);
    for (const TapInHint& found : matcher.match(w)) {
      if (found.position != w.length - w.tail() + p.row) continue;
      hint = found;
      hinted = true;
    }
  }
  TapInConfig none = c.tap_in;
  none.entropy_min = 0;
  const TapInRow mixed(row, hinted ? &hint : nullptr, hinted ? c.tap_in : none);
  std::vector<double> log_p;
  for (size_t v = 0; v < vocab; ++v) log_p.push_back(mixed.log_probability(static_cast<int32_t>(v)));
  return log_p;
}

DistributionProbe probe_at(LedgerPlayer* player, const Position& p) {
  const double tolerance = player->session().device().activations() == DType::kBF16 || !player->exact() ? kLossBf16 : kLoss;
  return {.target = p.target(),
          .row = static_cast<size_t>(p.row),
          .tolerance = tolerance,
          .losses =
              [player, p](std::span<const uint16_t> tokens) {
                player->set_tokens(tokens);
                std::vector<float> nll;
                player->run().score(std::span(&p.window, 1), &nll);
                return nll;
              },
          .log_p =
              [player, p](std::span<const uint16_t> tokens) {
                player->set_tokens(tokens);
                return distribution(player, p);
              }};
}

}  // namespace

bool probe_distribution(const DistributionProbe& probe, std::span<const uint16_t> tokens, float expected, NumpyRandom* random,
                        DistributionFindings* findings, Verdict* verdict) {
  std::ostringstream what;
  const std::vector<float> losses = probe.losses(tokens);
  const std::vector<double> log_p = probe.log_p(tokens);
  double sum = 0;
  for (const double l : log_p) sum += std::exp(l);
  findings->most_sum = std::max(findings->most_sum, std::abs(sum - 1));
  if (!(std::abs(sum - 1) <= kSum)) what << "probabilities sum to " << sum;
  else if (!std::isnan(expected) && losses[probe.row] != expected) what << "the ledger's loss does not come out again";
  Tokens changed(tokens.begin(), tokens.end());
  const uint16_t own = tokens[static_cast<size_t>(probe.target)];
  for (int i = 0; i <= kDistributionSwaps && what.str().empty(); ++i) {
    const uint16_t v = i == 0 ? own : static_cast<uint16_t>(random->integers(static_cast<uint32_t>(log_p.size())));
    changed[static_cast<size_t>(probe.target)] = v;
    const std::vector<float> found = probe.losses(changed);
    const double difference = std::abs(found[probe.row] + log_p[v]);
    findings->most_loss = std::max(findings->most_loss, difference);
    if (std::memcmp(found.data(), losses.data(), probe.row * sizeof(float)) != 0) what << "another target moves scores before it";
    else if (i > 0 && probe.log_p(changed) != log_p) what << "the distribution moves with the target";
    else if (!(difference <= probe.tolerance * std::max(1.0, -log_p[v] / 10))) what << "with target " << v << " the loss is " << found[probe.row] << ", -ln p of it " << -log_p[v];
  }
  ++findings->positions;
  if (what.str().empty()) return true;
  verdict->fault(Condition::kC2, "distributions", what.str(), probe.target);
  return false;
}

void judge_random_losses(std::span<const float> losses, size_t ids, Verdict* verdict) {
  double sum = 0, squares = 0;
  for (const float loss : losses) {
    sum += loss;
    squares += static_cast<double>(loss) * loss;
  }
  const double n = static_cast<double>(losses.size()), mean = sum / n, sigma = std::sqrt(std::max(0.0, squares / n - mean * mean));
  const double floor = std::log(static_cast<double>(ids)), bound = floor - 4 * sigma / std::sqrt(n);
  std::ostringstream text;
  text << losses.size() << " random targets of " << ids << " tokens: mean loss " << mean << " nats, ln V' = " << floor << ", bound " << bound;
  if (mean >= bound - kRoundedLoss) verdict->pass(Condition::kC2, "random stream", text.str());
  else verdict->fault(Condition::kC2, "random stream", text.str());
}

void check_normalised(const VerifyOptions& o, const LedgerCase& ledger, Verdict* verdict) {
  if (o.normalised == 0 || ledger.chunks.empty()) {
    verdict->skip(Condition::kC2, "distributions", "give --normalised N: no distribution was looked at");
    return;
  }
  LedgerPlayer player(o, ledger);
  NumpyRandom random(verify_seed(o, ledger) + 3);
  std::vector<int64_t> chunks;
  for (int64_t i = 0; i < o.normalised; ++i) chunks.push_back(random.integers(static_cast<uint32_t>(ledger.chunks.size())));
  std::sort(chunks.begin(), chunks.end());
  DistributionFindings findings;
  Progress progress(o.console, "looking at distributions", chunks.size(), "positions");
  for (const int64_t chunk : chunks) {
    player.set_tokens(ledger.tokens);
    player.go_to(chunk);
    const Position p = choose_position(ledger, player.run().chunks(), chunk, findings.positions % 2 == 1, &random);
    const float expected = player.exact() ? ledger.nll[p.nll] : std::nanf("");
    if (!probe_distribution(probe_at(&player, p), ledger.tokens, expected, &random, &findings, verdict)) return;
    progress.update(static_cast<uint64_t>(findings.positions));
    stop_if_interrupted();
  }
  progress.finish();
  std::ostringstream text;
  text << findings.positions << " positions: largest |sum - 1| " << findings.most_sum << ", largest difference of a loss from -ln p "
       << findings.most_loss << ", " << kDistributionSwaps << " other targets each leave the distribution as it is";
  verdict->pass(Condition::kC2, "distributions", text.str());
}

void check_random_stream(const VerifyOptions& o, const LedgerCase& ledger, Verdict* verdict) {
  if (o.random_stream == 0) {
    verdict->skip(Condition::kC2, "random stream", "give --random-stream N: whether random tokens cost what they must was not tried");
    return;
  }
  const int64_t count = std::max(o.random_stream, ledger.method.config.window) + 1;
  NumpyRandom random(verify_seed(o, ledger) + 4);
  Tokens ids;
  for (int64_t id = 0; id < ledger.tables.vocab(); ++id) {
    if (ledger.tables.boundary[id] == 0) ids.push_back(static_cast<uint16_t>(id));
  }
  const Tokens stream = random_stream(count, ids, {}, ledger.bos, &random);
  Session session(make_device(o.device, o.threads), ledger.model.config, ledger.model.table);
  session.set_weights(ledger.model.store);
  ScoreRun run(ledger.method, &session, stream, ledger.tables, ledger.bos);
  std::vector<float> losses;
  Progress progress(o.console, "scoring random tokens", run.chunks().size(), "chunks");
  for (int64_t chunk = 0; chunk < static_cast<int64_t>(run.chunks().size()); ++chunk) {
    std::vector<float> nll;
    run.score(chunk, &nll);
    size_t i = 0;
    for (const Window& window : run.chunks()[chunk].windows) {
      for (int64_t t = window.first_target(); t < window.first_target() + window.scored; ++t, ++i) {
        if (stream[t] != ledger.bos) losses.push_back(nll[i]);
      }
    }
    run.train(chunk);
    progress.update(static_cast<uint64_t>(chunk) + 1);
  }
  progress.finish();
  judge_random_losses(losses, ids.size(), verdict);
}

}  // namespace sixteen
