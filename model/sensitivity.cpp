// See sensitivity.h.
#include "model/sensitivity.h"

#include <algorithm>
#include <cmath>

#include "formats/check.h"
#include "formats/error.h"
#include "formats/file.h"
#include "model/numpy_random.h"
#include "model/portable_math.h"
#include "model/shuffled_loader.h"

namespace sixteen {
namespace {

// One token by the softmax of `logits`; uniform in [0, 1). `weights` is scratch.
int32_t draw(std::span<const float> logits, double uniform, std::vector<double>* weights) {
  const double largest = *std::ranges::max_element(logits);
  weights->resize(logits.size());
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) sum += (*weights)[i] = portable_exp(logits[i] - largest);
  double left = uniform * sum;
  for (size_t i = 0; i < logits.size(); ++i) {
    left -= (*weights)[i];
    if (left < 0) return static_cast<int32_t>(i);
  }
  return static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());  // rounding at the very end
}

// Adds the squares of each row of `gradient` [rows, cols].
void add_squares(std::span<const float> gradient, std::span<double> rows) {
  const size_t cols = gradient.size() / rows.size();
  for (size_t r = 0; r < rows.size(); ++r) {
    double sum = 0;
    for (const float g : gradient.subspan(r * cols, cols)) sum += double{g} * g;
    rows[r] += sum;
  }
}

}  // namespace

Sensitivities measure_sensitivities(Session* session, const std::string& calib_pattern, int64_t windows,
                                    int64_t seq_len, const Console& console) {
  CHECK(windows > 0 && seq_len > 0);
  const int64_t vocab = session->config().vocab;
  ShuffledLoader loader(glob_files(calib_pattern), 0, 1, seq_len, vocab);
  NumpyRandom random(0);
  std::map<std::string, std::vector<double>> sums;
  for (const ParamSpec& spec : session->table().specs()) {
    if (spec.shape.rank() == 2) sums[spec.name].resize(static_cast<size_t>(spec.shape[0]));
  }
  std::vector<int32_t> ids(seq_len), targets(seq_len);
  std::vector<float> logits(seq_len * vocab), flat(session->table().flat_size());
  const std::vector<float> weight(seq_len, static_cast<float>(1 / std::sqrt(static_cast<double>(seq_len))));
  std::vector<double> scratch;
  Progress progress(console, "sensitivities", static_cast<uint64_t>(windows), "windows");
  for (int64_t w = 0; w < windows; ++w) {
    loader.next_batch(1, ids.data(), targets.data());
    session->logits(ids, 1, seq_len, seq_len, logits);
    for (int64_t t = 0; t < seq_len; ++t) {
      targets[t] = draw(std::span<const float>(logits).subspan(t * vocab, vocab), random.next_double(), &scratch);
    }
    session->zero_grads();
    session->train(ids, targets, weight, 1, seq_len, true);
    session->device().download(flat.data(), session->grads().data(), flat.size() * sizeof(float));
    for (auto& [name, rows] : sums) {
      const ParamSpec& spec = session->table().at(name);
      add_squares(std::span<const float>(flat).subspan(spec.offset, spec.shape.numel()), rows);
    }
    progress.update(static_cast<uint64_t>(w + 1));
    stop_if_interrupted();
  }
  session->zero_grads();
  progress.finish();
  Sensitivities result;
  for (const auto& [name, rows] : sums) {
    for (const double sum : rows) {
      if (!std::isfinite(sum))
        fail("sensitivities: the gradient of ", name, " is not finite; was the training run sound?");
      result[name].push_back(static_cast<float>(sum / static_cast<double>(windows)));
    }
  }
  return result;
}

}  // namespace sixteen
