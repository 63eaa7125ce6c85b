// See snapshot_mean.h.
#include "trainer/snapshot_mean.h"

#include "formats/check.h"

namespace sixteen {

void SnapshotMean::add(const ParamStore& weights) {
  sum_.resize(weights.flat.size());
  for (size_t i = 0; i < sum_.size(); ++i) sum_[i] += weights.flat[i];
  ++count_;
}

ParamStore SnapshotMean::mean() const {
  CHECK(count_ > 0);
  ParamStore store(table_);
  for (size_t i = 0; i < sum_.size(); ++i) store.flat[i] = static_cast<float>(sum_[i] / static_cast<double>(count_));
  return store;
}

std::span<double> SnapshotMean::sum(const ParamSpec& spec) {
  sum_.resize(table_->flat_size());
  return std::span(sum_).subspan(spec.offset, spec.shape.numel());
}

}  // namespace sixteen
