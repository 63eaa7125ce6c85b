// The rotary tables, computed once on the host (trap T3), with the same bits on every machine.
#include "formats/dtype.h"
#include "model/portable_math.h"
#include "model/transformer.h"

namespace sixteen {

void rope_tables(const RopeConfig& rope, int64_t seq, std::vector<float>* cos, std::vector<float>* sin) {
  const int64_t half = rope.dims / 2;
  const double dims = static_cast<double>(rope.dims);
  const bool longer = seq > rope.train_len;
  const double stretch = static_cast<double>(seq) / static_cast<double>(rope.train_len);
  const double base = longer && rope.dims > 2 ? rope.base * portable_pow(stretch, dims / (dims - 2)) : rope.base;
  cos->resize(static_cast<size_t>(seq * half));
  sin->resize(static_cast<size_t>(seq * half));
  for (int64_t j = 0; j < half; ++j) {
    float frequency = static_cast<float>(portable_pow(base, -2 * static_cast<double>(j) / dims));
    if (rope.round_bf16 && !longer) frequency = round_to_bf16(frequency);
    for (int64_t t = 0; t < seq; ++t) {
      const float angle = static_cast<float>(t) * frequency;  // positions are exact, the product is rounded to fp32
      (*cos)[t * half + j] = static_cast<float>(portable_cos(angle));
      (*sin)[t * half + j] = static_cast<float>(portable_sin(angle));
    }
  }
}

}  // namespace sixteen
