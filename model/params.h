// The parameter table: name, shape, initialiser, optimiser group and quantisation policy of every tensor, in one place; and
// the flat fp32 store that holds their values.
//
// Order is bank order, so that matrices of one shape are neighbours and can be treated as [n, rows, cols] batches: all
// c_q and attn.proj (alternating by layer), all c_k and c_v, all mlp.fc, all mlp.proj, then tok_emb, then the control tensors
// and what only some systems have.
// Bites: names are the records' canonical ones (blocks.3.attn.c_q.weight). Every tensor starts at a multiple of 16 floats.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "graph/executor.h"
#include "graph/shape.h"
#include "model/config.h"

namespace sixteen {

enum class Init : uint8_t { kZero, kOne, kConstant, kNormal, kOrthogonal, kResidMix };
// Muon; AdamW for tables of embeddings; for an untied head; for control tensors and small projections; never trained.
enum class ParamGroup : uint8_t { kMatrix, kToken, kHead, kScalar, kFixed };
enum class QuantClass : uint8_t { kMatrix, kEmbedding, kSmall };

struct ParamSpec {
  std::string name;
  Shape shape;
  Init init;
  double init_value;   // kConstant: the value; kNormal: the standard deviation
  ParamGroup group;
  QuantClass quant;
  int64_t offset = 0;  // first element in the flat store
};

class ParamTable {
 public:
  explicit ParamTable(const ModelConfig& config);
  const std::vector<ParamSpec>& specs() const { return specs_; }
  const ParamSpec& at(const std::string& name) const;  // CHECKs
  const ParamSpec* find(const std::string& name) const;
  int64_t parameters() const { return parameters_; }   // without alignment gaps
  int64_t flat_size() const { return flat_size_; }     // elements of a store, gaps included (gaps stay 0)

 private:
  std::vector<ParamSpec> specs_;
  int64_t parameters_ = 0, flat_size_ = 0;
};

// Values on the host, one flat vector in table order; gradients, moments and averages have the same layout.
struct ParamStore {
  explicit ParamStore(std::shared_ptr<const ParamTable> table_in) : table(std::move(table_in)), flat(table->flat_size(), 0.0f) {}
  std::span<float> tensor(const std::string& name);
  std::span<const float> tensor(const std::string& name) const;

  std::shared_ptr<const ParamTable> table;
  std::vector<float> flat;
};

// Spec 4: orthogonal (QR of a Gaussian, sign-fixed), normal, constants; counter-based random numbers keyed by (seed, tensor,
// index), so a tensor's values do not depend on the others.
void initialise(const ModelConfig& config, uint64_t seed, ParamStore* store);

}  // namespace sixteen
