// Which tensor is stored how: an ordered list of rules, of which the first that fits a tensor decides.
//
//   [[pack.rules]]
//   match = [".mlp.", ".attn."]   # the name contains one of these; absent: any name
//   class = "matrix"              # matrix, embedding or small, as the parameter table sorts them; absent: any
//   max_numel = 65536             # at most so many elements; absent: any
//   min_visits = 2                # the loop visits its layer at least so often in one pass; absent: any
//   mode = "int6"                 # fp16, fp32, bf16: plain values; int2 to int8: codes with one fp16 scale a row
//   quantiser = "clip_row"        # of codes: gptq (default), nearest, tcq, clip_matrix, clip_row, row_quantile
//   column_steps = true           # of gptq and tcq: steps in proportion to what a column's errors cost (column_steps.h)
//   round_bf16 = true             # values count as bf16 once they are unpacked (codes and fp16)
//
// gptq, tcq and nearest take clip_sigmas and scale_bits (gptq.h), gptq and tcq (tcq.h) also damping and block (absent: [pack]'s), the others percentiles and min_clip (clip_search.h; row_quantile is clip_row
// with the one percentile 0.9999984 of #726's int8). Sources: spec_726_754 6.3, 6.4; spec_1584_1555 6.
// Bites: every tensor needs a rule, so the last one has no condition. A part of a name that no tensor has is refused, since a
// misspelt rule would let the next one store the tensor otherwise. gptq without a Hessian rounds to nearest,
// tcq searches each column by itself.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "formats/config_file.h"
#include "formats/dtype.h"
#include "model/params.h"

namespace sixteen {

enum class Quantiser : uint8_t { kGptq, kNearest, kTcq, kClipMatrix, kClipRow, kRowQuantile };
std::string_view quantiser_name(Quantiser quantiser);
constexpr bool takes_hessian(Quantiser quantiser) { return quantiser == Quantiser::kGptq || quantiser == Quantiser::kTcq; }
constexpr bool searches_clips(Quantiser quantiser) { return !takes_hessian(quantiser) && quantiser != Quantiser::kNearest; }

struct PackRule {
  std::vector<std::string> match{};  // empty: any name
  std::string tensor_class{};        // "": any
  int64_t max_numel = std::numeric_limits<int64_t>::max();
  int64_t min_visits = 0;           // 0: any
  int bits = 0;                     // 2..8; 0: plain
  DType plain_dtype = DType::kF16;  // when plain
  Quantiser quantiser = Quantiser::kGptq;
  double clip_sigmas = 12.85;
  int scale_bits = 10;                // of gptq, tcq and nearest: of the scales' mantissas, 1 to 10
  double damping = 0.01;              // of gptq and tcq: share of the Hessian's mean diagonal
  int block = 128;                    // of gptq and tcq: columns
  std::vector<double> percentiles{};  // empty: the quantiser's own
  double min_clip = 1;
  bool column_steps = false;
  bool round_bf16 = false;
};

// "fp16", "int6", ...
std::string mode_name(const PackRule& rule);
// One line for people: "name has .mlp. or .attn.: int6, clip_row".
std::string describe(const PackRule& rule);

// The tables [[pack.rules]] of [pack], validated; none: empty. Damping and block of a rule that has none are `base`'s. Errors
// name file, key, value and rule.
std::vector<PackRule> read_pack_rules(Section* pack, const PackRule& base, const std::string& where);

// How often one pass over the model visits the layer that the tensor belongs to; 1 for a tensor of no layer.
int64_t tensor_visits(const ModelConfig& model, const std::string& name);

// For each tensor of the table, the index of its rule. Throws Error when a part of a name occurs in no tensor's name or no
// layer is visited so often, when a tensor has no rule, or when codes are asked for a tensor that is no matrix.
std::vector<size_t> assign_rules(const std::vector<PackRule>& rules, const ModelConfig& model, const ParamTable& table,
                                 const std::string& where);

}  // namespace sixteen
