// A size solves itself: the clips (and bits, if asked) of each class of tensors with which artifact and code land just under
// a number of bytes and the loss rises least.
//
// A class is what one rule stores of one kind of matrix (c_q, c_k, ..., the embedding), apart where the loop visits a layer
// more often. For each, a sample of its rows is quantised at clips half an octave apart: order-0 entropy and error, that is a
// RateCurve. With sensitivities (model/sensitivity.h) errors count in nats and bytes are divided by equal slopes; without them
// errors of different matrices are not comparable and all clips of the rules change together. The result is quantised and
// coded for real; what the file differs from the estimate corrects the next round, the last ones move one class alone.
//
// Bites: estimated nats are a quadratic of uncorrelated errors. Each round codes the whole artifact: choose a fast codec.
// The same input gives the same file for any number of threads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/sensitivity.h"
#include "packer/pack.h"
#include "packer/rate_curve.h"

namespace sixteen {

struct BudgetOptions {
  uint64_t code_bytes = 0;
  uint64_t slack = 2000;     // bytes that may be left
  bool search_bits = false;  // else every class keeps the bits of its rule
};

struct BudgetClass {
  std::string name;             // "attn.c_q", "mlp.fc x3" (visited three times), "tok_emb"
  std::vector<size_t> tensors;  // of the parameter table
  PackRule rule;                // found
  double numel = 0, sigmas_before = 0;
  int bits_before = 0;
  double coded_bits = 0, error = 0;  // of a weight, estimated; of the class
};

struct BudgetRound {
  uint64_t artifact_bytes = 0;
  double error = 0;  // summed over the whole model as quantised
  std::string what;
};

struct BudgetPoint {  // of the estimated trade-off
  double total_bytes = 0, error = 0;
};

struct BudgetResult {
  std::vector<BudgetClass> classes;
  std::vector<BudgetRound> rounds;
  std::vector<BudgetPoint> curve;  // ascending bytes
  bool in_nats = false;            // errors are nats a token, else sums of relative errors
  bool all_fits = false;           // the least error of all takes fewer bytes than there are
  Artifact artifact;
};

// The rules are config's; their clips are where the search starts. Throws Error when the model cannot fit: says by how much.
BudgetResult solve_budget(const Model& model, const Hessians& hessians, const Sensitivities& sensitivities,
                          const PackConfig& config, const BudgetOptions& options, const Console& console);

}  // namespace sixteen
