// See budget.h.
#include "packer/budget.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "formats/check.h"
#include "formats/error.h"
#include "packer/code_estimate.h"

namespace sixteen {
namespace {

constexpr double kAim =
    0.35;  // of the slack: what rounds go for, since codes that change give or take some hundred bytes
constexpr double kSampleWeights = 1 << 19;  // of a class, for its curve
constexpr int64_t kSampleRows = 16;         // of a tensor, at least
constexpr double kLeastClip = 2;            // standard deviations: the finest clip with the rule's bits
constexpr double kCoarsest = 1;             // log2 of the largest step: 2 standard deviations, about a bit a weight
constexpr double kOctave = 0.5;             // between points of a curve
constexpr double kRoomyClip = 12;  // searched bits are the fewest whose clip lies so many standard deviations out
constexpr int kFewestBits = 4, kMostBits = 8;
constexpr double kNear = 0.1;  // bits a weight that one class may take alone in the last rounds
constexpr int kRounds = 16;
constexpr int kCurvePoints = 17;

// "blocks.3.attn.c_q.weight" -> "attn.c_q"; "tok_emb.weight" -> "tok_emb".
std::string kind_of(const std::string& name) {
  std::string kind = name;
  if (kind.starts_with("blocks.")) kind = kind.substr(kind.find('.', 7) + 1);
  if (kind.ends_with(".weight")) kind.resize(kind.size() - 7);
  return kind;
}

bool searched(const PackRule& rule) {
  return rule.bits > 0 && !searches_clips(rule.quantiser);
}

class Solver {
 public:
  Solver(const Model& model, const Hessians& hessians, const Sensitivities& sensitivities, const PackConfig& config,
         const BudgetOptions& options, const Console& console);
  BudgetResult solve();

 private:
  void make_classes();
  void measure_curves();
  RateCurve curve_of(const BudgetClass& c, std::span<const TensorJob> jobs, std::span<const QuantisedTensor> results,
                     std::span<const double> places) const;
  PackRule rule_at(const BudgetClass& c, double x) const;
  double place_of(const PackRule& rule) const;
  double error_of(size_t tensor, const QuantisedMatrix& matrix, int64_t stride) const;
  Allocation divide(double bytes) const;    // of the searched codes
  Allocation move_one(double bytes) const;  // as it stands, but for one class
  void quantise(const Allocation& to, const std::string& what);
  void check_fits() const;
  void finish();

  const Model& model_;
  const Hessians& hessians_;
  const Sensitivities& sensitivities_;
  const PackConfig& config_;
  const BudgetOptions& options_;
  const Console& console_;
  StreamOptions stream_;
  ModelQuantiser quantiser_;
  const double limit_;  // bytes of the artifact
  std::vector<PackRule> by_tensor_;
  std::vector<double> traces_;  // of each tensor's Hessian; its columns where there is none
  std::vector<QuantisedTensor> quantised_;
  std::map<size_t, size_t> job_of_;  // tensor -> place in quantised_
  std::vector<RateClass> curves_;
  std::vector<double> start_;
  Allocation now_, least_;          // as quantised last; without sensitivities, the least error of all
  double exact_ = 0, besides_ = 0;  // bytes of the last round's artifact; what it has that curves do not estimate
  BudgetResult result_;
};

Solver::Solver(const Model& model, const Hessians& hessians, const Sensitivities& sensitivities,
               const PackConfig& config, const BudgetOptions& options, const Console& console)
    : model_(model),
      hessians_(hessians),
      sensitivities_(sensitivities),
      config_(config),
      options_(options),
      console_(console),
      stream_(config.stream),
      quantiser_(model, hessians, config.threads),
      limit_(static_cast<double>(config.target_bytes) - static_cast<double>(options.code_bytes)) {
  if (limit_ <= 0)
    fail("code takes ", options.code_bytes, " bytes, which leaves nothing of ", config.target_bytes,
         " for the artifact");
  result_.in_nats = !sensitivities.empty();
  if (stream_.codec == Codec::kAuto)
    stream_ = kOwnCodec;  // the others are slow
}

void Solver::make_classes() {
  const std::vector<PackRule> rules = rules_of(config_);
  const std::vector<size_t> assigned = assign_rules(rules, model_.config, *model_.table, model_.path);
  std::map<std::string, size_t> known;
  for (size_t i = 0; i < assigned.size(); ++i) {
    const ParamSpec& spec = model_.table->specs()[i];
    const PackRule& rule = by_tensor_.emplace_back(rules[assigned[i]]);
    const std::vector<float>* hessian = hessian_for(hessians_, spec.name);
    double trace = 0;
    if (hessian != nullptr) {
      for (int64_t j = 0; j < spec.shape[1]; ++j) trace += (*hessian)[j * spec.shape[1] + j];
    }
    traces_.push_back(trace > 0 ? trace : static_cast<double>(spec.shape.rank() == 2 ? spec.shape[1] : 1));
    if (rule.bits == 0) {
      besides_ += static_cast<double>(spec.shape.numel()) * static_cast<double>(dtype_bytes(rule.plain_dtype));
      continue;
    }
    besides_ += 2 * static_cast<double>(spec.shape[0]) + 32;
    if (!searched(rule)) {
      besides_ += static_cast<double>(spec.shape.numel()) * rule.bits / 8;
      continue;
    }
    const int64_t visits = tensor_visits(model_.config, spec.name);
    const std::string name = kind_of(spec.name) + (visits > 1 ? " x" + std::to_string(visits) : "");
    const auto [at, fresh] = known.try_emplace(std::to_string(assigned[i]) + name, result_.classes.size());
    if (fresh) {
      BudgetClass& c = result_.classes.emplace_back();
      c.name = name;
      c.rule = rule;
      c.sigmas_before = rule.clip_sigmas;
      c.bits_before = rule.bits;
    }
    result_.classes[at->second].tensors.push_back(i);
    result_.classes[at->second].numel += static_cast<double>(spec.shape.numel());
  }
  quantiser_.use_steps(promoted_groups(model_, hessians_, by_tensor_, config_.awq));
  if (result_.classes.empty())
    fail("a size cannot be searched: no rule quantises by clip_sigmas (quantiser gptq, tcq or nearest)");
}

// x of the curves: log2 of the step in standard deviations.
double Solver::place_of(const PackRule& rule) const { return std::log2(rule.clip_sigmas / code_limit(rule.bits)); }

PackRule Solver::rule_at(const BudgetClass& c, double x) const {
  PackRule rule = c.rule;
  if (options_.search_bits) {
    rule.bits = kFewestBits;
    while (rule.bits < kMostBits && std::exp2(x) * code_limit(rule.bits) < kRoomyClip) ++rule.bits;
  }
  rule.clip_sigmas = std::exp2(x) * code_limit(rule.bits);
  return rule;
}

double Solver::error_of(size_t tensor, const QuantisedMatrix& matrix, int64_t stride) const {
  const auto found = sensitivities_.find(model_.table->specs()[tensor].name);
  double sum = 0, weights = 0, all = 0;
  for (size_t r = 0; r < matrix.row_errors.size(); ++r) {
    const double weight = found == sensitivities_.end() ? 1 : found->second[r * static_cast<size_t>(stride)];
    sum += weight * matrix.row_errors[r];
    weights += weight;
  }
  if (found == sensitivities_.end())
    all = static_cast<double>(model_.table->specs()[tensor].shape[0]);
  else
    for (const float weight : found->second) all += weight;
  return weights > 0 ? sum * all / weights / traces_[tensor] / 2 : 0;
}

RateCurve Solver::curve_of(const BudgetClass& c, std::span<const TensorJob> jobs,
                           std::span<const QuantisedTensor> results, std::span<const double> places) const {
  std::vector<RatePoint> points;
  for (size_t p = 0; p < places.size(); ++p) {
    RatePoint& point = points.emplace_back(RatePoint{.x = places[p]});
    double bits = 0, weights = 0;
    for (size_t i = p * c.tensors.size(); i < (p + 1) * c.tensors.size(); ++i) {
      const QuantisedMatrix& matrix = results[i].matrix;
      const ParamSpec& spec = model_.table->specs()[jobs[i].tensor];
      const double numel = static_cast<double>(spec.shape.numel());
      bits += 8 * order0_bytes(matrix.codes, spec.shape[1], c.rule.quantiser == Quantiser::kTcq) * numel / static_cast<double>(matrix.codes.size());
      weights += numel;
      point.error += error_of(jobs[i].tensor, matrix, jobs[i].row_stride);
    }
    point.bits = bits / weights;
    point.error = std::max(point.error, 1e-30);  // a class that no loss sees
  }
  return RateCurve(points);
}

void Solver::measure_curves() {
  console_.say("measuring ", result_.classes.size(), " classes on samples of their rows ...");
  for (const BudgetClass& c : result_.classes) {
    const double finest =
        std::log2(options_.search_bits ? kRoomyClip / 2 / code_limit(kMostBits) : kLeastClip / code_limit(c.rule.bits));
    start_.push_back(std::clamp(place_of(c.rule), finest, kCoarsest));
    std::vector<double> places;
    for (double x = finest; x < kCoarsest - kOctave / 2; x += kOctave) places.push_back(x);
    places.push_back(kCoarsest);
    std::vector<TensorJob> jobs;
    for (const double x : places) {
      for (const size_t tensor : c.tensors) {
        const int64_t rows = model_.table->specs()[tensor].shape[0];
        const auto stride = static_cast<int64_t>(c.numel / kSampleWeights);
        jobs.push_back({.tensor = tensor,
                        .rule = rule_at(c, x),
                        .row_stride = std::clamp<int64_t>(stride, 1, std::max<int64_t>(rows / kSampleRows, 1))});
      }
    }
    const std::vector<QuantisedTensor> results = quantiser_.run(jobs, Console{.json = false, .quiet = true});
    curves_.push_back({c.numel, curve_of(c, jobs, results, places)});
    stop_if_interrupted();
  }
  // Without sensitivities: never finer than where clipping undoes more than precision gives.
  least_ = allocation_at(curves_, start_);
  for (double more = least_.bytes; more < 2 * allocation_at(curves_, start_).bytes; more *= 1.01) {
    const Allocation finer = shift(curves_, start_, more);
    if (finer.error < least_.error) least_ = finer;
  }
}

Allocation Solver::divide(double bytes) const {
  if (result_.in_nats) return allocate(curves_, bytes);
  return least_.bytes <= bytes ? least_ : shift(curves_, start_, bytes);
}

// The class that is cheapest to quantise of those for which the change is small.
Allocation Solver::move_one(double bytes) const {
  constexpr double kDelta = 1.0 / 64;
  const double gap = bytes - now_.bytes;
  std::vector<double> best;
  double least = 0;
  for (size_t c = 0; c < curves_.size(); ++c) {
    const RateCurve& curve = curves_[c].curve;
    const double from = std::max(now_.x[c] - kDelta, curve.low()), to = std::min(now_.x[c] + kDelta, curve.high());
    const double slope = curves_[c].numel / 8 * (curve.bits(to) - curve.bits(from)) / (to - from);
    const double place = now_.x[c] + gap / slope;
    if (!(slope < 0) || std::abs(8 * gap / curves_[c].numel) > kNear || place < curve.low() || place > curve.high())
      continue;
    double cost = 0;
    for (const size_t tensor : result_.classes[c].tensors) {
      const Shape& shape = model_.table->specs()[tensor].shape;
      cost += static_cast<double>(shape.numel()) * static_cast<double>(shape[1] + 128);
    }
    if (!best.empty() && cost >= least) continue;
    least = cost;
    best = now_.x;
    best[c] = place;
  }
  return best.empty() ? divide(bytes) : allocation_at(curves_, best);
}

void Solver::quantise(const Allocation& to, const std::string& what) {
  std::vector<TensorJob> jobs;
  const bool first = quantised_.empty();
  for (size_t c = 0; c < result_.classes.size(); ++c) {
    if (!first && to.x[c] == now_.x[c]) continue;
    BudgetClass& of = result_.classes[c];
    of.rule = rule_at(of, to.x[c]);
    for (const size_t tensor : of.tensors) {
      by_tensor_[tensor].bits = of.rule.bits;
      by_tensor_[tensor].clip_sigmas = of.rule.clip_sigmas;
      if (!first) jobs.push_back({.tensor = tensor, .rule = by_tensor_[tensor]});
    }
  }
  if (first) {
    jobs = tensor_jobs(by_tensor_);
    for (size_t i = 0; i < jobs.size(); ++i) job_of_[jobs[i].tensor] = i;
    quantised_.resize(jobs.size());
  }
  std::vector<QuantisedTensor> results = quantiser_.run(jobs, console_);
  for (size_t i = 0; i < jobs.size(); ++i) quantised_[job_of_.at(jobs[i].tensor)] = std::move(results[i]);
  now_ = to;
  console_.say("coding with ", codec_name(stream_.codec), " ...");
  result_.artifact = assemble(model_, by_tensor_, quantised_, config_);
  exact_ = static_cast<double>(serialise_artifact(&result_.artifact, config_.codecs, stream_).size());
  besides_ = exact_ - now_.bytes;
  double error = 0;
  for (BudgetClass& c : result_.classes) {
    c.error = 0;
    for (const size_t tensor : c.tensors) c.error += error_of(tensor, quantised_[job_of_.at(tensor)].matrix, 1);
    error += c.error;
  }
  result_.rounds.push_back({static_cast<uint64_t>(exact_), error, what});
  const double left = limit_ - exact_;
  console_.say("round ", result_.rounds.size(), " (", what, "): artifact ", result_.rounds.back().artifact_bytes,
               " bytes, ", left < 0 ? "over by " : "left ", static_cast<int64_t>(std::abs(left)),
               result_.in_nats ? ", estimated loss +" : ", error ", error, result_.in_nats ? " nats" : "");
  stop_if_interrupted();
}

void Solver::check_fits() const {
  bool coarsest = true;
  for (size_t c = 0; c < curves_.size(); ++c) coarsest = coarsest && now_.x[c] >= curves_[c].curve.high();
  if (exact_ <= limit_ || !coarsest) return;
  fail(model_.path, ": cannot fit: with steps of 2 standard deviations, the coarsest tried, artifact ",
       static_cast<uint64_t>(exact_), " + code ", options_.code_bytes, " bytes are over the target of ",
       config_.target_bytes, " by ", static_cast<uint64_t>(exact_ - limit_),
       "; train a smaller model or count less code");
}

void Solver::finish() {
  for (size_t c = 0; c < curves_.size(); ++c) result_.classes[c].coded_bits = curves_[c].curve.bits(now_.x[c]);
  for (int i = 0; i < kCurvePoints; ++i) {
    const double total = limit_ * (0.8 + 0.4 * i / (kCurvePoints - 1));
    const Allocation at = divide(total - besides_);
    const double bytes = at.bytes + besides_ + static_cast<double>(options_.code_bytes);
    if (i > 0 && bytes <= result_.curve.back().total_bytes) continue;  // the ends of all curves
    result_.curve.push_back({bytes, at.error});
  }
}

BudgetResult Solver::solve() {
  make_classes();
  measure_curves();
  const double slack = static_cast<double>(options_.slack), goal = limit_ - kAim * slack, least = limit_ - slack;
  quantise(divide(goal - besides_), "as estimated");
  Allocation best;
  double best_bytes = 0;
  for (int round = 1;; ++round) {
    check_fits();
    if (exact_ <= limit_ && exact_ > best_bytes) {
      best = now_;
      best_bytes = exact_;
    }
    if (best_bytes > least) break;
    const Allocation all = divide(goal - besides_);
    result_.all_fits = exact_ <= limit_ && all.x == now_.x;
    if (result_.all_fits) break;
    if (round == kRounds) break;
    const bool one = std::abs(goal - exact_) < kNear / 8 * model_.table->parameters() && round > 1;
    quantise(one ? move_one(goal - besides_) : all, one ? "one class" : "all classes");
  }
  if (best_bytes == 0)
    fail(model_.path, ": no clips found within ", kRounds, " rounds that land under ", config_.target_bytes, " bytes");
  if (best.x != now_.x) quantise(best, "the best so far");
  finish();
  return std::move(result_);
}

}  // namespace

BudgetResult solve_budget(const Model& model, const Hessians& hessians, const Sensitivities& sensitivities,
                          const PackConfig& config, const BudgetOptions& options, const Console& console) {
  return Solver(model, hessians, sensitivities, config, options, console).solve();
}

}  // namespace sixteen
