// See pass.h.
#include "model/pass.h"

namespace sixteen {

Transfer& Pass::room(Device& device, Way* way, size_t bytes) {
  if (way->bytes < bytes) {
    way->transfer = device.make_transfer(bytes);
    way->bytes = bytes;
  }
  way->transfer->wait();
  return *way->transfer;
}

void Pass::fetch(Device& device, const void* nll, int64_t count) {
  count_ = count;
  const size_t bytes = static_cast<size_t>(count) * sizeof(float);
  room(device, &back_, bytes).fetch(nll, bytes);
}

std::span<const float> Pass::nll() {
  back_.transfer->wait();
  return {reinterpret_cast<const float*>(back_.transfer->host()), static_cast<size_t>(count_)};
}

double Pass::weighted_loss() {
  const std::span<const float> losses = nll();
  const auto* weight = reinterpret_cast<const float*>(ways_[kRowWeight].transfer->host());
  double sum = 0;
  for (size_t i = 0; i < losses.size(); ++i) sum += static_cast<double>(weight[i]) * losses[i];
  return sum;
}

}  // namespace sixteen
