// See sensitivity.h.
#include "model/sensitivity.h"

#include <algorithm>
#include <cmath>

#include "formats/check.h"
#include "formats/error.h"
#include "formats/file.h"
#include "formats/jobs.h"
#include "model/numpy_random.h"
#include "model/portable_math.h"
#include "model/shuffled_loader.h"

namespace sixteen {
namespace {

// One token by the softmax of `logits`; uniform in [0, 1).
int32_t draw(std::span<const float> logits, double uniform) {
  const double largest = *std::ranges::max_element(logits);
  std::vector<double> weights(logits.size());
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) sum += weights[i] = portable_exp(logits[i] - largest);
  double left = uniform * sum;
  for (size_t i = 0; i < logits.size(); ++i) {
    left -= weights[i];
    if (left < 0) return static_cast<int32_t>(i);
  }
  return static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());  // rounding at the very end
}

// One token a row of `logits` [targets, vocab]; the generator moves on by as many.
void draw_targets(std::span<const float> logits, NumpyRandom* random, int threads, std::span<int32_t> targets) {
  const size_t vocab = logits.size() / targets.size();
  std::vector<double> uniform(targets.size());
  for (double& u : uniform) u = random->next_double();
  run_jobs(targets.size(), threads, [&](size_t t) { targets[t] = draw(logits.subspan(t * vocab, vocab), uniform[t]); });
}

struct Matrix {
  const ParamSpec* spec;
  std::vector<double> rows;  // sums of squares
};

// Adds the squares of each row of the matrix's gradient [rows, cols].
void add_squares(std::span<const float> gradient, Matrix* matrix) {
  const size_t cols = gradient.size() / matrix->rows.size();
  for (size_t r = 0; r < matrix->rows.size(); ++r) {
    double sum = 0;
    for (const float g : gradient.subspan(r * cols, cols)) sum += double{g} * g;
    matrix->rows[r] += sum;
  }
}

}  // namespace

Sensitivities measure_sensitivities(Session* session, const std::string& calib_pattern, const CalibrationConfig& config, int threads,
                                    const Console& console) {
  const int64_t windows = config.sensitivity_windows, seq_len = config.seq_len, vocab = session->config().vocab;
  CHECK(windows > 0 && seq_len > 0);
  ShuffledLoader loader(glob_files(calib_pattern), 0, 1, seq_len, vocab);
  NumpyRandom random(0);
  std::vector<Matrix> matrices;
  for (const ParamSpec& spec : session->table().specs()) {
    if (spec.shape.rank() == 2) matrices.push_back({&spec, std::vector<double>(static_cast<size_t>(spec.shape[0]))});
  }
  std::vector<int32_t> ids(seq_len), targets(seq_len);
  std::vector<float> logits(seq_len * vocab), flat(session->table().flat_size());
  const std::vector<float> weight(seq_len, static_cast<float>(1 / std::sqrt(static_cast<double>(seq_len))));
  Progress progress(console, "sensitivities", static_cast<uint64_t>(windows), "windows");
  for (int64_t w = 0; w < windows; ++w) {
    loader.next_batch(1, ids.data(), targets.data());
    session->logits(ids, 1, seq_len, seq_len, logits);
    draw_targets(logits, &random, threads, targets);
    session->zero_grads();
    session->train(ids, targets, weight, 1, seq_len, true);
    session->device().download(flat.data(), session->grads().data(), flat.size() * sizeof(float));
    run_jobs(matrices.size(), threads, [&](size_t m) {
      const ParamSpec& spec = *matrices[m].spec;
      add_squares(std::span<const float>(flat).subspan(spec.offset, spec.shape.numel()), &matrices[m]);
    });
    progress.update(static_cast<uint64_t>(w + 1));
    stop_if_interrupted();
  }
  session->zero_grads();
  progress.finish();
  Sensitivities result;
  for (const Matrix& matrix : matrices) {
    for (const double sum : matrix.rows) {
      if (!std::isfinite(sum)) fail("sensitivities: the gradient of ", matrix.spec->name, " is not finite; was the training run sound?");
      result[matrix.spec->name].push_back(static_cast<float>(sum / static_cast<double>(windows)));
    }
  }
  return result;
}

}  // namespace sixteen
