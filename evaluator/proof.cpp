// See proof.h.
#include "evaluator/proof.h"

#include <algorithm>
#include <set>

#include "evaluator/arithmetic_coder.h"
#include "formats/check.h"
#include "formats/dtype.h"
#include "formats/error.h"

namespace sixteen {
namespace {

// Targets of a chunk, which are consecutive.
struct TargetRange {
  int64_t first = 0, count = 0;
};

TargetRange targets_of(const Chunk& chunk) {
  TargetRange range;
  if (chunk.windows.empty()) return range;
  range.first = chunk.windows.front().first_target();
  for (const Window& window : chunk.windows) {
    CHECK(window.first_target() == range.first + range.count && window.unscored == 0);
    range.count += window.scored;
  }
  return range;
}

// A proof's run over chunks: which are coded, which only trained on.
class ProofRun {
 public:
  ProofRun(const ProofMethod& method, Session* session, std::span<const uint16_t> tokens)
      : run_(method.score, session, tokens, no_tables_, kNoBos) {
    if (method.arith == Arith::kPortable && !session->device().portable_arithmetic()) {
      fail("--arith portable: ", session->device().name(),
           " does not compute in the portable order of fp32 yet; use --device cpu, or --arith native for a proof on a machine of this kind");
    }
  }

  const std::vector<Chunk>& chunks() const { return run_.chunks(); }
  void choose(const std::vector<int64_t>& sampled) { coded_.insert(sampled.begin(), sampled.end()); }
  bool codes(int64_t chunk) const { return coded_.empty() || coded_.count(chunk) != 0; }
  int64_t count() const { return static_cast<int64_t>(chunks().size()); }
  int64_t coded_targets() const {
    int64_t sum = 0;
    for (int64_t i = 0; i < count(); ++i) sum += codes(i) ? targets_of(chunks()[static_cast<size_t>(i)]).count : 0;
    return sum;
  }

  // code(chunk) for every coded chunk; training in between, as far as no state shortens the way.
  template <class Code>
  void each_chunk(const ProofStates& states, Code code) {
    int64_t at = 0;
    for (int64_t next = 0; next < count(); ++next) {
      if (!codes(next)) continue;
      for (at = states.advance(&run_, at, next); at < next; ++at) run_.train(at);
      code(chunks()[static_cast<size_t>(next)]);
    }
  }

 private:
  static constexpr int32_t kNoBos = 1;  // read by Tap-In alone

  const ByteTables no_tables_;  // ScoreRun::score() counts bytes, training does not
  ScoreRun run_;
  std::set<int64_t> coded_;  // empty: all
};

// Distributions of a window's targets, one after another, each from the tokens before it.
class WindowRevealer {
 public:
  WindowRevealer(const ScoreMethod& method, Session* session, std::vector<uint16_t>* tokens, bool whole_windows)
      : whole_windows_(whole_windows), bf16_(method.config.logits_bf16), session_(session), tokens_(*tokens), window_(0), row_(static_cast<size_t>(session->config().vocab)) {}

  // next(frequencies) says which token the target is.
  template <class Next>
  void reveal(const Window& window, Next next) {
    const int64_t first = window.first_target();
    if (window_.length != window.length) window_ = GrowingWindow(window.length);
    window_.clear();
    for (int64_t target = first; target < first + window.scored; ++target) {
      logits_before(window, target);
      if (bf16_) {
        for (float& logit : row_) logit = round_to_bf16(logit);
      }
      frequencies_.set(row_);
      tokens_[static_cast<size_t>(target)] = static_cast<uint16_t>(next(frequencies_));
    }
  }

 private:
  void logits_before(const Window& window, int64_t target) {
    if (!whole_windows_) {
      const int64_t known = window.start + static_cast<int64_t>(window_.ids.size());
      const std::vector<int32_t> fresh(tokens_.begin() + known, tokens_.begin() + target);
      session_->extend(&window_, fresh, row_);
      return;
    }
    // The shape of the pass that coded it; what is not known yet is id 0, which no row before it sees.
    const size_t vocab = row_.size();
    std::vector<int32_t> ids(tokens_.begin() + window.start, tokens_.begin() + target);
    ids.resize(static_cast<size_t>(window.length), 0);
    whole_.resize(static_cast<size_t>(window.scored) * vocab);
    session_->logits(ids, 1, window.length, window.scored, whole_);
    std::copy_n(whole_.begin() + (target - window.first_target()) * static_cast<int64_t>(vocab), vocab, row_.begin());
  }

  bool whole_windows_, bf16_;
  Session* session_;
  std::vector<uint16_t>& tokens_;
  GrowingWindow window_;
  std::vector<float> row_, whole_;
  Frequencies frequencies_;
};

uint64_t mixed(uint64_t x) {  // SplitMix64's finaliser
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

std::vector<int64_t> sample_chunks(int64_t chunks, int64_t count, uint64_t seed) {
  if (count <= 0 || count >= chunks) return {};
  std::set<int64_t> chosen;
  for (uint64_t draw = 1; static_cast<int64_t>(chosen.size()) < count; ++draw) {
    chosen.insert(static_cast<int64_t>(mixed(seed * 0x9e3779b97f4a7c15u + draw) % static_cast<uint64_t>(chunks)));
  }
  return {chosen.begin(), chosen.end()};
}

ProofOutcome compress_text(const ProofMethod& method, Session* session, std::span<const uint16_t> tokens, const ByteTables* tables,
                           int64_t sample, uint64_t seed, const ProofStates& states, const Console& console, ProofFile* proof) {
  CHECK(tokens.size() >= 2);
  ProofRun run(method, session, tokens);
  proof->settings = proof_settings(method, session->config());
  proof->sampled = sample_chunks(run.count(), sample, seed);
  proof->first_token = tokens[0];
  proof->text = digest_tokens(tokens);
  run.choose(proof->sampled);
  ArithmeticEncoder encoder;
  Frequencies frequencies;
  const int64_t vocab = session->config().vocab;
  const auto code = [&](const Window& window, std::span<const float> logits, std::span<float> nll) {
    for (int64_t i = 0; i < window.scored; ++i) {
      const int32_t target = tokens[static_cast<size_t>(window.first_target() + i)];
      frequencies.set(logits.subspan(static_cast<size_t>(i * vocab), static_cast<size_t>(vocab)));
      encoder.encode(frequencies.below(target), frequencies.of(target));
      nll[static_cast<size_t>(i)] = static_cast<float>(frequencies.nats(target));
    }
  };
  const ScoreOptions options{.batch = method.score.config.batch, .logits_bf16 = method.score.config.logits_bf16, .looping = true, .mixture = code};
  ScoreSum sum;
  Progress progress(console, "compressing", static_cast<uint64_t>(run.coded_targets()), "tokens");
  run.each_chunk(states, [&](const Chunk& chunk) {
    sum.add(score_windows(session, tokens, chunk.windows, tables, options, nullptr, [](int64_t) { stop_if_interrupted(); }));
    progress.update(static_cast<uint64_t>(sum.targets));
  });
  progress.finish();
  proof->code = encoder.finish();
  return {.targets = sum.targets,
          .chunks = run.count(),
          .coded_chunks = proof->sampled.empty() ? run.count() : static_cast<int64_t>(proof->sampled.size()),
          .nats = sum.nll,
          .bytes = sum.bytes,
          .seconds = progress.seconds()};
}

std::vector<uint16_t> decompress_text(const ProofFile& proof, const ProofMethod& method, Session* session,
                                      std::span<const uint16_t> given, bool whole_windows, const ProofStates& states, const Console& console, const std::string& where,
                                      ProofOutcome* outcome) {
  const int64_t count = proof.tokens();
  if (count < 2) fail(where, ": expected two tokens or more, found ", count);
  if (proof.first_token >= session->config().vocab) fail(where, ": first token ", proof.first_token, " is beyond the model's vocabulary");
  std::vector<uint16_t> tokens(static_cast<size_t>(count), 0);
  if (!proof.sampled.empty()) {
    CHECK(static_cast<int64_t>(given.size()) == count);
    tokens.assign(given.begin(), given.end());
  }
  ProofRun run(method, session, tokens);
  if (!proof.sampled.empty() && proof.sampled.back() >= run.count()) {
    fail(where, ": chunk ", proof.sampled.back(), " is sampled, but the text has ", run.count(), " chunks");
  }
  run.choose(proof.sampled);
  tokens[0] = proof.first_token;
  for (int64_t i = 0; i < run.count(); ++i) {  // what is to be decoded is not known
    const TargetRange range = targets_of(run.chunks()[static_cast<size_t>(i)]);
    if (run.codes(i)) std::fill_n(tokens.begin() + range.first, range.count, uint16_t{0});
  }
  ArithmeticDecoder decoder(proof.code);
  WindowRevealer revealer(method.score, session, &tokens, whole_windows || !session->extends());
  const auto next = [&](const Frequencies& frequencies) {
    uint64_t below = 0;
    const int32_t symbol = frequencies.find(decoder.peek(), &below);
    decoder.consume(below, frequencies.of(symbol));
    return symbol;
  };
  Progress progress(console, "decompressing", static_cast<uint64_t>(run.coded_targets()), "tokens");
  run.each_chunk(states, [&](const Chunk& chunk) {
    for (const Window& window : chunk.windows) {
      revealer.reveal(window, next);
      outcome->targets += window.scored;
      progress.update(static_cast<uint64_t>(outcome->targets));
      stop_if_interrupted();
    }
  });
  progress.finish();
  outcome->chunks = run.count();
  outcome->coded_chunks = proof.sampled.empty() ? run.count() : static_cast<int64_t>(proof.sampled.size());
  outcome->seconds = progress.seconds();
  if (!decoder.finished() || digest_tokens(tokens) != proof.text) {
    fail(where, ": what was decoded is not the text that was coded: the score is not what it claims, ",
         proof.sampled.empty() ? "or this machine computes other bits (see --arith)"
                               : "or --data is not the text that was scored, or this machine computes other bits (see --arith)");
  }
  return tokens;
}

}  // namespace sixteen
