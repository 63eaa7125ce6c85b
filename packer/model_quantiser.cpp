// See model_quantiser.h.
#include "packer/model_quantiser.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <thread>

#include "formats/check.h"
#include "formats/trellis.h"
#include "packer/clip_search.h"
#include "packer/column_steps.h"
#include "packer/tcq.h"

namespace sixteen {
namespace {

constexpr double kRowQuantile = 0.9999984;  // of #726's int8

// Runs work(i) for each cost, the dearest first. Enough of them: one a thread at a time; few: one after the other, so that each
// has all threads. Only the calling thread touches the progress.
void run_each(cpu::ThreadPool& pool, std::span<const double> costs, Progress* progress,
              const std::function<void(size_t)>& work) {
  std::vector<size_t> order(costs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return costs[a] > costs[b]; });
  std::atomic<size_t> next{0}, done{0};
  std::atomic<bool> given_up{false};
  const std::thread::id caller = std::this_thread::get_id();
  const auto take = [&] {
    for (size_t i = next++; i < order.size() && !given_up; i = next++) {
      try {
        work(order[i]);
        ++done;
        if (std::this_thread::get_id() != caller) continue;
        progress->update(done);
        stop_if_interrupted();
      } catch (...) {
        given_up = true;
        throw;
      }
    }
  };
  const int64_t threads = pool.threads();
  if (static_cast<int64_t>(costs.size()) < 2 * threads) return take();
  pool.parallel_for(threads, 1, [&](int64_t, int64_t) { take(); });
}

std::vector<float> rows_of(std::span<const float> values, int64_t rows, int64_t cols, int64_t stride) {
  std::vector<float> sample;
  for (int64_t r = 0; r < rows; r += stride) {
    sample.insert(sample.end(), values.begin() + r * cols, values.begin() + (r + 1) * cols);
  }
  return sample;
}

}  // namespace

ModelQuantiser::ModelQuantiser(const Model& model, const Hessians& hessians, int threads)
    : model_(model), hessians_(hessians), pool_(threads) {}

ModelQuantiser::FactorKey ModelQuantiser::key_of(const TensorJob& job) const {
  const std::vector<float>* hessian = hessian_for(hessians_, model_.table->specs()[job.tensor].name);
  if (!takes_hessian(job.rule.quantiser) || hessian == nullptr) return {nullptr, 0};
  return {hessian, job.rule.damping};
}

void ModelQuantiser::factorise(std::span<const TensorJob> jobs, const Console& console) {
  std::vector<const TensorJob*> missing;
  for (const TensorJob& job : jobs) {
    const FactorKey key = key_of(job);
    if (key.first != nullptr && factors_.try_emplace(key).second) missing.push_back(&job);
  }
  if (missing.empty()) return;
  std::vector<double> costs;
  for (const TensorJob* job : missing) {
    const double cols = static_cast<double>(model_.table->specs()[job->tensor].shape[1]);
    costs.push_back(cols * cols * cols);
  }
  Progress progress(console, "factorising", missing.size(), "Hessians");
  run_each(pool_, costs, &progress, [&](size_t i) {
    const ParamSpec& spec = model_.table->specs()[missing[i]->tensor];
    const FactorKey key = key_of(*missing[i]);
    factors_.at(key) =
        std::make_unique<GptqFactor>(factorise_hessian(pool_, spec.name, *key.first, spec.shape[1], key.second));
  });
  progress.finish();
}

std::vector<int8_t> ModelQuantiser::steps_of(const TensorJob& job, const FactorKey& key) const {
  std::vector<int8_t> steps;
  if (job.rule.column_steps && key.first != nullptr) steps = proportional_steps(*factors_.at(key));
  const auto promoted = steps_.find(job.tensor);
  if (promoted == steps_.end()) return steps;
  steps.resize(promoted->second.size());
  for (size_t j = 0; j < steps.size(); ++j) steps[j] = static_cast<int8_t>(std::max(steps[j] + promoted->second[j], -kMostQuarters));
  return steps;
}

QuantisedTensor ModelQuantiser::quantise(const TensorJob& job) {
  const ParamSpec& spec = model_.table->specs()[job.tensor];
  const PackRule& rule = job.rule;
  CHECK(spec.shape.rank() == 2 && rule.bits > 0 && job.row_stride >= 1);
  const int64_t cols = spec.shape[1], rows = (spec.shape[0] + job.row_stride - 1) / job.row_stride;
  std::vector<float> sample;
  std::span<const float> values = model_.store.tensor(spec.name);
  if (job.row_stride > 1) values = sample = rows_of(values, spec.shape[0], cols, job.row_stride);
  const FactorKey key = key_of(job);
  const QuantOptions sigmas{.bits = rule.bits, .clip_sigmas = rule.clip_sigmas, .scale_bits = rule.scale_bits, .block = rule.block,
                            .steps = steps_of(job, key)};
  ClipOptions clips{.bits = rule.bits, .min_clip = rule.min_clip};
  if (rule.quantiser == Quantiser::kRowQuantile) clips.percentiles = {kRowQuantile};
  if (!rule.percentiles.empty()) clips.percentiles = rule.percentiles;
  const bool blind = rule.quantiser == Quantiser::kGptq && key.first == nullptr;
  QuantisedTensor result{.matrix = {}, .used = blind ? Quantiser::kNearest : rule.quantiser};
  switch (result.used) {
    case Quantiser::kGptq:
      result.matrix = quantise_gptq(pool_, values, rows, *factors_.at(key), sigmas);
      break;
    case Quantiser::kTcq:
      result.matrix = key.first != nullptr ? quantise_tcq(pool_, values, rows, *factors_.at(key), sigmas)
                                           : quantise_tcq(pool_, values, rows, cols, sigmas);
      break;
    case Quantiser::kNearest:
      result.matrix = quantise_nearest(values, rows, cols, sigmas);
      break;
    case Quantiser::kClipMatrix:
      result.matrix = quantise_clip_matrix(pool_, values, rows, cols, clips);
      break;
    case Quantiser::kClipRow:
    case Quantiser::kRowQuantile:
      result.matrix = quantise_clip_row(pool_, values, rows, cols, clips);
      break;
  }
  return result;
}

std::vector<QuantisedTensor> ModelQuantiser::run(std::span<const TensorJob> jobs, const Console& console) {
  factorise(jobs, console);
  std::vector<double> costs;
  for (const TensorJob& job : jobs) {
    const ParamSpec& spec = model_.table->specs()[job.tensor];
    const double gptq = key_of(job).first == nullptr ? 0 : static_cast<double>(spec.shape[1]);
    const double trellis = job.rule.quantiser == Quantiser::kTcq ? 8 * kTrellisStates : 0;
    costs.push_back(static_cast<double>(spec.shape.numel() / job.row_stride) * (gptq + 128 + trellis));
  }
  std::vector<QuantisedTensor> results(jobs.size());
  Progress progress(console, "quantising", jobs.size(), "tensors");
  run_each(pool_, costs, &progress, [&](size_t i) { results[i] = quantise(jobs[i]); });
  progress.finish();
  return results;
}

}  // namespace sixteen
