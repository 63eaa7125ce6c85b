// See value_coder.h. One class both codes and decodes, so that the two cannot part.
#include "formats/value_coder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <map>

#include "formats/bit_model.h"
#include "formats/check.h"
#include "formats/error.h"
#include "formats/range_coder.h"

namespace sixteen {
namespace {

constexpr int kValueBits = 15;  // without the sign
constexpr int64_t kLargest = (1 << kValueBits) - 1;
constexpr int kFeatures = 3;  // of the prediction
constexpr int kContexts = 3;  // of a bit that is mixed
constexpr int64_t kWeightOne = 1 << 16;
constexpr uint64_t kMostValuesAByte = 284;  // a value is five bits or more that cost at least log2(256/255)
constexpr uint32_t kSlowest = 255;
constexpr int32_t kFirstMixWeight = 65536 * 2 / 5, kMostMixWeight = 1 << 20;

template <class Coder>
class ValueModel {
 public:
  explicit ValueModel(Coder* coder) : coder_(*coder) {
    for (auto& weights : mix_) weights.fill(kFirstMixWeight);
  }

  void tensor(std::span<uint16_t> values, bool low_halves) {
    CHECK(!values.empty());
    const int shift = code_shift(values);
    History& history = histories_[{values.size(), low_halves}];
    std::vector<int32_t> now(values.size());
    weights_ = history.weights;
    int64_t mean = last_mean_ >> shift, before = mean, spread = last_spread_ >> shift;
    sign_before_ = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const std::array<int64_t, kFeatures> features = {before - mean,
                                                       history.last.empty() ? 0 : history.last[i] >> shift,
                                                       history.older.empty() ? 0 : history.older[i] >> shift};
      int64_t prediction = mean << 16;
      for (size_t k = 0; k < kFeatures; ++k) prediction += weights_[k] * features[k];
      prediction = std::clamp<int64_t>((prediction + 32768) >> 16, 0, kLargest >> shift);
      const int sign = code_sign(values[i] >> 15, history, i);
      const int64_t error = code_error(values[i] & 0x7fff, prediction, shift, spread);
      const int64_t value = prediction + error;
      values[i] = static_cast<uint16_t>(sign << 15 | static_cast<int>(value << shift));
      learn(features, error);
      before = value;
      now[i] = static_cast<int32_t>(value);
      const int64_t pace = std::min<int64_t>(static_cast<int64_t>(i) + 2, 64);
      mean += (value - mean) / pace;
      spread += ((std::abs(error) << 4) - spread) / std::min<int64_t>(static_cast<int64_t>(i) + 4, 24);
    }
    last_mean_ = mean << shift;
    last_spread_ = spread << shift;
    remember(&history, values, std::move(now), shift);
  }

 private:
  // What tensors of one length leave behind for the next: deviations from the mean in full resolution, signs.
  struct History {
    std::vector<int32_t> last, older;
    std::vector<uint8_t> signs;
    std::array<int64_t, kFeatures> weights{kWeightOne / 4, kWeightOne / 4, 0};
  };

  void remember(History* history, std::span<const uint16_t> values, std::vector<int32_t> now, int shift) {
    int64_t sum = 0;
    for (const int32_t value : now) sum += value;
    const int32_t mean = static_cast<int32_t>(sum / static_cast<int64_t>(now.size()));
    for (int32_t& value : now) value = (value - mean) * (1 << shift);
    history->older = std::move(history->last);
    history->last = std::move(now);
    history->signs.resize(values.size());
    for (size_t i = 0; i < values.size(); ++i) history->signs[i] = static_cast<uint8_t>(values[i] >> 15);
    history->weights = weights_;
  }

  // How many zero bits all values end with: scales may be coarser than fp16.
  int code_shift(std::span<const uint16_t> values) {
    unsigned all = 1u << (kValueBits - 1);
    for (const uint16_t value : values) all |= value & 0x7fffu;
    const int wanted = std::countr_zero(all);
    int node = 1;
    for (int k = 3; k >= 0; --k) node = node * 2 + plain_bit(&shift_[static_cast<size_t>(node)], wanted >> k & 1);
    return std::min(node - 16, kValueBits - 1);
  }

  int code_sign(int sign, const History& history, size_t i) {
    const int above = history.signs.empty() ? 2 : history.signs[i];
    const int result = plain_bit(&sign_[static_cast<size_t>(above * 2 + sign_before_)], sign);
    sign_before_ = result;
    return result;
  }

  // wanted: the value's 15 bits when encoding. Returns value - prediction, in units of 2^shift.
  int64_t code_error(int wanted, int64_t prediction, int shift, int64_t spread) {
    const int64_t target = (wanted >> shift) - prediction;
    const unsigned size = static_cast<unsigned>(std::abs(target));
    const int wide = std::bit_width(static_cast<unsigned>(spread));
    const int fine = 2 * wide + (wide > 1 ? static_cast<int>(spread >> (wide - 2) & 1) : 0);  // half octaves
    const std::array<int, kContexts> contexts = {std::min(fine, 39), std::min(wide, 19) * 17 + width_before_, shift};
    int node = 1;
    for (int k = 3; k >= 0; --k) node = node * 2 + mixed_bit(contexts, node, std::bit_width(size) >> k & 1);
    const int width = node - 16;
    width_before_ = width;
    unsigned result = width == 0 ? 0 : 1;
    for (int k = width - 2; k >= 0; --k) {
      const int bit = size >> k & 1;
      const size_t slot = static_cast<size_t>(width) * 8 + (result & 7);
      result = result * 2 +
               static_cast<unsigned>(k >= width - 3 ? plain_bit(&mantissa_[slot], bit) : coder_.code(32768, bit));
    }
    if (result == 0) return 0;
    const bool negative = plain_bit(&direction_[static_cast<size_t>(width)], target < 0 ? 1 : 0) != 0;
    const int64_t error = negative ? -static_cast<int64_t>(result) : static_cast<int64_t>(result);
    // A damaged code may leave the 15 bits; an encoder never does.
    return std::clamp<int64_t>(error, -prediction, (kLargest >> shift) - prediction);
  }

  void learn(const std::array<int64_t, kFeatures>& features, int64_t error) {
    int64_t energy = 16;
    for (const int64_t f : features) energy += f * f;
    for (size_t k = 0; k < kFeatures; ++k) {
      const int64_t moved = weights_[k] + features[k] * error * (kWeightOne / 256) / energy;
      weights_[k] = std::clamp(moved, -4 * kWeightOne, 4 * kWeightOne);
    }
  }

  int plain_bit(BitCounter* counter, int bit) {
    const int result = coder_.code(std::clamp(counter->one(), kLeastOne, kMostOne), bit);
    counter->update(result, kSlowest, counter_rates());
    return result;
  }

  int mixed_bit(const std::array<int, kContexts>& contexts, int node, int bit) {
    const LogitTables& tables = logit_tables();
    auto& weights = mix_[static_cast<size_t>(node)];
    std::array<BitCounter*, kContexts> counters;
    std::array<int, kContexts> logits;
    int64_t sum = 0;
    for (size_t k = 0; k < kContexts; ++k) {
      counters[k] = &widths_[k][static_cast<size_t>(contexts[k] * 16 + node)];
      logits[k] = tables.stretch[counters[k]->one() >> 4];
      sum += int64_t{weights[k]} * logits[k];
    }
    const int logit = static_cast<int>(std::clamp<int64_t>(sum >> 16, -kLogitLimit, kLogitLimit));
    const uint32_t one = std::clamp<uint32_t>(tables.squash[static_cast<size_t>(logit + 2048)], kLeastOne, kMostOne);
    const int result = coder_.code(one, bit);
    const int error = (result << 16) - static_cast<int>(one);
    for (size_t k = 0; k < kContexts; ++k) {
      const int32_t moved = weights[k] + ((logits[k] * (error >> 2) + 0x4000) >> 15);
      weights[k] = std::clamp(moved, -kMostMixWeight, kMostMixWeight);
      counters[k]->update(result, kSlowest, counter_rates());
    }
    return result;
  }

  Coder& coder_;
  std::map<std::pair<size_t, bool>, History> histories_;  // by length and kind
  std::array<int64_t, kFeatures> weights_{};
  int64_t last_mean_ = 0, last_spread_ = 16 << 4;
  int sign_before_ = 0, width_before_ = 0;
  std::array<BitCounter, 16> shift_;
  std::array<BitCounter, 6> sign_;
  std::array<BitCounter, 17> direction_;
  std::array<BitCounter, 17 * 8> mantissa_;
  std::array<std::array<BitCounter, 20 * 17 * 16>, kContexts> widths_;
  std::array<std::array<int32_t, kContexts>, 16> mix_;
};

}  // namespace

// uncounted: begin
Bytes encode_values(std::span<const ValueTensor> tensors) {
  RangeEncoder encoder;
  ValueModel<RangeEncoder> model(&encoder);
  for (const ValueTensor& tensor : tensors) {
    std::vector<uint16_t> copy = tensor.values;
    model.tensor(copy, tensor.low_halves);
    CHECK(copy == tensor.values);
  }
  return encoder.finish();
}

// uncounted: end
void check_value_count(std::span<const std::byte> coded, const std::string& name, uint64_t values) {
  if (values / kMostValuesAByte > coded.size() + 8) {
    fail("stream ", name, ": ", coded.size(), " coded bytes cannot hold ", values, " values");
  }
}

void decode_values(std::span<const std::byte> coded, const std::string& name, std::span<ValueTensor> tensors) {
  uint64_t values = 0;
  for (const ValueTensor& tensor : tensors) values += tensor.values.size();
  check_value_count(coded, name, values);
  RangeDecoder decoder(coded);
  ValueModel<RangeDecoder> model(&decoder);
  for (ValueTensor& tensor : tensors) model.tensor(tensor.values, tensor.low_halves);
  if (!decoder.at_end()) fail("stream ", name, ": more coded bytes than its values take");
}

}  // namespace sixteen
