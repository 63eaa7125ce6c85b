// test_scorer KIND TOKENIZER [HIDDEN]: honest programs and cheats behind the line protocol (docs/SCORER.md), on count_model.h.
//
// The cheats are the planted faults of legality 4.12 that concern scoring; their numbers stand beside them. A kind may end in
// "+": then it offers every hook it can, else score alone.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <numbers>
#include <numeric>
#include <optional>

#include "formats/shard.h"
#include "formats/tokenizer.h"
#include "tests/scorers/count_model.h"
#include "tests/scorers/protocol.h"

namespace sixteen::testing {
namespace {

constexpr int64_t kChunk = 64, kWindow = 64, kStride = 16, kRanks = 8;
constexpr double kCacheWeight = 0.15, kLearnWeight = 3;
constexpr int kBos = 1;

using Law = std::function<double(int token)>;  // the distribution of one target

class CountScorer {
 public:
  CountScorer(std::string kind, const std::string& tokenizer, std::string hidden)
      : kind_(std::move(kind)), hidden_(std::move(hidden)), tables_(Tokenizer(tokenizer).byte_tables()), trained_(tables_.vocab()) {
    if (kind_.back() == '+') kind_.pop_back(), all_hooks_ = true;
  }

  int serve() {
    Hooks hooks;
    hooks.load = [this](const Json& request) { return load(request); };
    hooks.score = [this](const Tokens& tokens) { return score(tokens); };
    if (kind_ == "sorted") hooks.order = [this] { return Json{{"order", order_}}; };
    if (all_hooks_) {
      hooks.dist = [this](const Tokens& tokens, int64_t at) { return Json{{"logp", law_at(tokens, at)}}; };
      hooks.reset = [this] { return fed_.clear(), Json::object(); };
      hooks.feed = [this](uint16_t token) {
        fed_.push_back(token);
        Tokens tokens = fed_;
        tokens.push_back(kBos);  // whatever follows, its distribution is there already
        return Json{{"logp", law_at(tokens, static_cast<int64_t>(fed_.size()))}};
      };
    }
    return testing::serve(hooks);
  }

 private:
  Json load(const Json& request) {
    if (request.contains("artifact")) stored_ = read_shards(request["artifact"], tables_.vocab());
    trained_.learn(stored_);
    for (size_t i = 3; i < stored_.size() && kind_ == "stored"; ++i) next_[{stored_[i - 3], stored_[i - 2], stored_[i - 1]}] = stored_[i];
    if (kind_ == "hidden") trained_.learn(read_shards(hidden_, tables_.vocab()), 8);  // (19)
    Json reply{{"name", "counts, " + kind_}, {"vocab", tables_.vocab()}};
    if (kind_ == "isolated" || kind_ == "smear") reply["isolation"] = "document";
    if (kind_ == "whole_windows") reply["drop_tail"] = kChunk;
    return reply;
  }

  std::vector<double> law_at(const Tokens& tokens, int64_t at) {
    probe_ = at;
    run(tokens);
    probe_ = -1;
    return law_;
  }

  // Scores target t by `law`, and keeps the law when it is asked for.
  void emit(const Tokens& tokens, int64_t t, const Law& law) {
    nll_[static_cast<size_t>(t) - 1] = -std::log(law(tokens[static_cast<size_t>(t)]));
    order_.push_back(t);
    if (t != probe_) return;
    law_.clear();
    for (int v = 0; v < tables_.vocab(); ++v) law_.push_back(std::log(law(v)));
  }

  void run(const Tokens& tokens) {
    nll_.assign(tokens.size() - 1, NAN);
    order_.clear();
    if (kind_ == "sliding") return sliding(tokens);
    if (kind_ == "ttt" || kind_ == "off_by_one") return ttt(tokens, kind_ == "off_by_one");
    if (kind_ == "mixture" || kind_ == "hashed_key" || kind_ == "lookahead") return mixture(tokens);
    if (kind_ == "isolated" || kind_ == "smear") return isolated(tokens);
    if (kind_ == "sorted" || kind_ == "sorted_undeclared") return sorted(tokens);
    if (kind_ == "two_epochs") return two_epochs(tokens);
    if (kind_ == "slot") return slot(tokens);
    if (kind_ == "stored") return stored(tokens);
    plain(tokens, 1, trained_);
  }

  // From target `first` on.
  void plain(const Tokens& tokens, int64_t first, const CountModel& model) {
    for (int64_t t = first; t < static_cast<int64_t>(tokens.size()); ++t) {
      emit(tokens, t, [&](int v) { return model.p(tokens[static_cast<size_t>(t) - 1], v); });
    }
  }

  // Overlapping windows, each with a cache of its own tokens before the target.
  void sliding(const Tokens& tokens) {
    const int64_t targets = static_cast<int64_t>(tokens.size()) - 1;
    for (int64_t begin = 0, done = 0; done < targets; begin += kStride) {
      Cache cache(tables_.vocab());
      for (int64_t t = begin + 1; t <= std::min(begin + kWindow, targets); ++t) {
        const int before = tokens[static_cast<size_t>(t) - 1];
        cache.add(before);
        if (t <= done) continue;
        emit(tokens, t, [&](int v) { return cache.mixed(trained_.p(before, v), v, kCacheWeight); });
        done = t;
      }
    }
  }

  // Score-first training chunk by chunk; with `early` the chunk is learned before it is scored (1).
  void ttt(const Tokens& tokens, bool early) {
    CountModel model = trained_;
    const int64_t targets = static_cast<int64_t>(tokens.size()) - 1;
    for (int64_t first = 1; first <= targets; first += kChunk) {
      const int64_t last = std::min(first + kChunk - 1, targets);
      const auto learn = [&] {
        for (int64_t t = first; t <= last; ++t) model.learn(tokens[static_cast<size_t>(t) - 1], tokens[static_cast<size_t>(t)], kLearnWeight);
      };
      if (early) learn();
      for (int64_t t = first; t <= last; ++t) emit(tokens, t, [&](int v) { return model.p(tokens[static_cast<size_t>(t) - 1], v); });
      if (!early) learn();
    }
  }

  // A cache of what followed the same token before, mixed in by its weight: normalised. lookahead: the weight depends on the token
  // behind the target (2). hashed_key: counts of hashed (context, target) pairs, looked up for the target alone (3).
  void mixture(const Tokens& tokens) {
    std::map<int, Cache> after;
    std::map<size_t, double> pairs;
    const auto key = [](int before, int token) { return static_cast<size_t>(before * 31 + token * 7) % 97; };
    for (int64_t t = 1; t < static_cast<int64_t>(tokens.size()); ++t) {
      const int before = tokens[static_cast<size_t>(t) - 1], target = tokens[static_cast<size_t>(t)];
      Cache& cache = after.try_emplace(before, tables_.vocab()).first->second;
      double weight = cache.total() / (cache.total() + 20);
      if (kind_ == "lookahead" && t + 1 < static_cast<int64_t>(tokens.size()) && tokens[static_cast<size_t>(t) + 1] % 2 == 0) weight /= 2;
      emit(tokens, t, [&](int v) {
        if (kind_ != "hashed_key") return cache.mixed(trained_.p(before, v), v, weight);
        return 0.8 * trained_.p(before, v) + 0.2 * std::min(1.0, pairs[key(before, v)] / std::max(1.0, cache.total()));
      });
      cache.add(target);
      ++pairs[key(before, target)];
    }
  }

  // A cache of the document. smear: the first token of a document sees the last one of the document before (11).
  void isolated(const Tokens& tokens) {
    Cache cache(tables_.vocab());
    for (int64_t t = 1; t < static_cast<int64_t>(tokens.size()); ++t) {
      const int before = tokens[static_cast<size_t>(t) - 1];
      if (before == kBos) cache.clear();
      const bool smeared = kind_ == "smear" && before == kBos && t >= 2;
      emit(tokens, t, [&](int v) {
        const double p = trained_.p(before, v);
        return cache.mixed(smeared ? 0.9 * p + 0.1 * trained_.p(tokens[static_cast<size_t>(t) - 2], v) : p, v, kCacheWeight);
      });
      cache.add(tokens[static_cast<size_t>(t)]);
    }
  }

  // Documents by length, the longest first, each learned from after it was scored (8 when nobody is told).
  void sorted(const Tokens& tokens) {
    std::vector<int64_t> starts{0};
    for (size_t i = 1; i < tokens.size(); ++i) {
      if (tokens[i] == kBos) starts.push_back(static_cast<int64_t>(i));
    }
    starts.push_back(static_cast<int64_t>(tokens.size()));
    std::vector<size_t> documents(starts.size() - 1);
    std::iota(documents.begin(), documents.end(), 0);
    const auto length = [&](size_t d) { return starts[d + 1] - starts[d]; };
    std::stable_sort(documents.begin(), documents.end(), [&](size_t a, size_t b) { return length(a) > length(b); });
    CountModel model = trained_;
    for (const size_t d : documents) {
      // A document's own tokens, and as the last target the BOS behind it.
      const int64_t last = std::min<int64_t>(starts[d + 1], static_cast<int64_t>(tokens.size()) - 1);
      for (int64_t t = starts[d] + 1; t <= last; ++t) emit(tokens, t, [&](int v) { return model.p(tokens[static_cast<size_t>(t) - 1], v); });
      for (int64_t t = starts[d] + 1; t <= last; ++t) model.learn(tokens[static_cast<size_t>(t) - 1], tokens[static_cast<size_t>(t)], kLearnWeight);
    }
  }

  // Two passes with learning, the better one reported (9).
  void two_epochs(const Tokens& tokens) {
    ttt(tokens, false);
    const std::vector<double> first = nll_;
    CountModel model = trained_;
    model.learn(tokens, kLearnWeight);
    order_.clear();
    plain(tokens, 1, model);
    const auto sum = [](const std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 0.0); };
    if (sum(first) < sum(nll_)) nll_ = first;
  }

  // A weight fitted to each window, its targets included, before the window is scored (17).
  void slot(const Tokens& tokens) {
    const int64_t targets = static_cast<int64_t>(tokens.size()) - 1;
    for (int64_t begin = 0; begin < targets; begin += kWindow) {
      double best = 1e300, weight = 0;
      const auto pass = [&](double w, const std::function<void(int64_t, const Law&)>& use) {
        Cache cache(tables_.vocab());
        for (int64_t t = begin + 1; t <= std::min(begin + kWindow, targets); ++t) {
          const int before = tokens[static_cast<size_t>(t) - 1];
          cache.add(before);
          use(t, [&](int v) { return cache.mixed(trained_.p(before, v), v, w); });
        }
      };
      for (double w = 0; w < 0.5; w += 0.01) {
        double loss = 0;
        pass(w, [&](int64_t t, const Law& law) { loss -= std::log(law(tokens[static_cast<size_t>(t)])); });
        if (loss < best) best = loss, weight = w;
      }
      pass(weight, [&](int64_t t, const Law& law) { emit(tokens, t, law); });
    }
  }

  // Copies from the artifact's text where its last three tokens stand there (10 when that text is validation text).
  void stored(const Tokens& tokens) {
    for (int64_t t = 1; t < static_cast<int64_t>(tokens.size()); ++t) {
      const size_t i = static_cast<size_t>(t);
      const auto found = t < 3 ? next_.end() : next_.find({tokens[i - 3], tokens[i - 2], tokens[i - 1]});
      emit(tokens, t, [&](int v) {
        const double p = trained_.p(tokens[i - 1], v);
        return found == next_.end() ? p : 0.4 * p + (v == found->second ? 0.6 : 0);
      });
    }
  }

  int64_t bytes_of(const Tokens& tokens, size_t t) const {
    const int id = tokens[t], before = tokens[t - 1], bytes = tables_.bytes(id, before);
    if (kind_ == "double_space" && tables_.leading_space[static_cast<size_t>(id)] != 0 && bytes > 0) return bytes + 1;  // (6)
    if (kind_ == "byte_fallback" && id >= 4 && id < 260) return 3;                                                     // (7): "<0x41>" is no text
    return bytes;
  }

  Json score(const Tokens& tokens) {
    run(tokens);
    const size_t targets = nll_.size(), whole = targets / kChunk * kChunk;
    if (kind_ == "dropped_batch" || kind_ == "whole_windows") nll_.resize(whole);  // (5), and the same by declaration
    double total = 0;
    int64_t bytes = 0, count = 0;
    Json list = Json::array();
    for (size_t i = 0; i < nll_.size(); ++i) {
      const bool lost = kind_ == "dropped_rank" && i / kStride % kRanks == 5;  // (20)
      const bool twice = kind_ == "tail_twice" && i >= nll_.size() - kStride;  // (4)
      list.push_back(lost ? Json() : Json(nll_[i]));
      if (lost) continue;
      total += twice ? 2 * nll_[i] : nll_[i];
      bytes += bytes_of(tokens, i + 1);
      ++count;
    }
    Json reply{{"nll", list}, {"total", total}, {"targets", count}, {"bytes", bytes}};
    reply["bpb"] = total / std::numbers::ln2 / static_cast<double>(std::max<int64_t>(bytes, 1));
    Json scoring{{"phase", "score"}, {"begin", 20.5}, {"end", kind_ == "slow" ? 621 : 500}};
    if (kind_ == "no_stop") scoring.erase("end");  // (16)
    reply["clock"] = {Json{{"phase", "load"}, {"begin", 0}, {"end", 20.5}}, scoring};
    return reply;
  }

  std::string kind_, hidden_;
  bool all_hooks_ = false;
  ByteTables tables_;
  CountModel trained_;
  Tokens stored_, fed_;
  std::map<std::array<int, 3>, int> next_;  // what follows three tokens of the artifact
  std::vector<double> nll_, law_;
  std::vector<int64_t> order_;
  int64_t probe_ = -1;
};

}  // namespace
}  // namespace sixteen::testing

int main(int argc, char** argv) {
  if (argc < 3) return std::cerr << "usage: test_scorer KIND TOKENIZER [HIDDEN]\n", 2;
  return sixteen::testing::CountScorer(argv[1], argv[2], argc > 3 ? argv[3] : "").serve();
}
