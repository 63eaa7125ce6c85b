// Quantises a model's tensors, as many at once as there are threads, and keeps what it made of their Hessians: trying another
// clip then costs only the updates of GPTQ.
//
// Bites: bits depend neither on the number of threads nor on what is quantised beside a tensor. Few tensors go one after the
// other, each with all threads inside. A factor takes cols^2 floats as long as this lives, and four times that while it is
// made, a thread. Keeps references to the model and the Hessians.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "model/calibration.h"
#include "model/checkpoint.h"
#include "packer/gptq.h"
#include "packer/pack_rules.h"

namespace sixteen {

struct TensorJob {
  size_t tensor = 0;       // of the parameter table; a matrix
  PackRule rule;           // bits > 0
  int64_t row_stride = 1;  // only rows 0, row_stride, 2 row_stride, ...: a sample, from which codes and row_errors come
};

struct QuantisedTensor {
  QuantisedMatrix matrix;
  Quantiser used = Quantiser::kNearest;  // the rule's, or kNearest for kGptq without a Hessian
};

class ModelQuantiser {
 public:
  ModelQuantiser(const Model& model, const Hessians& hessians, int threads = 0);

  // Steps of tensors' columns (column_steps.h), beside those that a rule asks for.
  void use_steps(std::map<size_t, std::vector<int8_t>> steps) { steps_ = std::move(steps); }

  // In the order of the jobs. Throws Error when a Hessian is not usable, or interrupted.
  std::vector<QuantisedTensor> run(std::span<const TensorJob> jobs, const Console& console);

 private:
  using FactorKey = std::pair<const std::vector<float>*, double>;  // Hessian and damping
  void factorise(std::span<const TensorJob> jobs, const Console& console);
  QuantisedTensor quantise(const TensorJob& job);
  FactorKey key_of(const TensorJob& job) const;  // {nullptr, 0}: needs none
  std::vector<int8_t> steps_of(const TensorJob& job, const FactorKey& key) const;

  const Model& model_;
  const Hessians& hessians_;
  cpu::ThreadPool pool_;
  std::map<FactorKey, std::unique_ptr<GptqFactor>> factors_;
  std::map<size_t, std::vector<int8_t>> steps_;
};

}  // namespace sixteen
