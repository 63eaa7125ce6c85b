// See state_writer.h.
#include "evaluator/state_writer.h"

#include <chrono>

#include "formats/safetensors.h"

namespace sixteen {

void StateWriter::write(ScoreRun* run, const std::string& path) {
  wait();
  const auto& state = run->state();
  std::vector<TensorView> tensors;
  values_.resize(state.size());
  for (size_t i = 0; i < state.size(); ++i) {
    const auto& [name, buffer] = state[i];
    values_[i].resize(buffer.bytes() / sizeof(float));
    run->session().device().download(values_[i].data(), buffer.data(), buffer.bytes());
    tensors.push_back(
        {name, DType::kF32, {static_cast<int64_t>(values_[i].size())}, std::as_bytes(std::span(values_[i]))});
  }
  file_ = std::async(std::launch::async, [path, tensors = std::move(tensors)] {
    write_safetensors(path, tensors, {{"format", "sixteen ledger state"}});
  });
}

void StateWriter::wait() {
  if (file_.valid()) file_.get();
}

void StateWriter::check() {
  if (file_.valid() && file_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) file_.get();
}

}  // namespace sixteen
