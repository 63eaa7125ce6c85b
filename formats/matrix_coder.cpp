// See matrix_coder.h. One class both codes and decodes, so that the two cannot part.
#include "formats/matrix_coder.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <vector>

#include "formats/bit_model.h"
#include "formats/check.h"
#include "formats/code_priors.h"
#include "formats/column_predictor.h"
#include "formats/error.h"
#include "formats/range_coder.h"
#include "formats/trellis.h"

namespace sixteen {
namespace {

constexpr uint64_t kMostCodesAByte = 1420;  // a code is one bit or more that cost at least log2(256/255)
constexpr int kRecentClasses = 16;
constexpr int kNeighbourClasses = 8;  // of the codes to the left, and of the one above

// Mean squares are in 1/256, sums of them by column in 1/4, ratios in 1/4096.
constexpr uint64_t kSquareLimit = 1 << 23;
constexpr uint64_t kRatioOne = 1 << 12, kRatioLimit = 1 << 20;
constexpr uint64_t kFirstSquare = 6;                                      // of codes, before any is known
constexpr uint64_t kFirstCount = 64;                                      // and how many codes that is worth
constexpr uint64_t kFirstWorth = 16, kLeastWorth = 4, kMostWorth = 4096;  // in codes, of the mean of all columns
constexpr uint64_t kRowsToJudge = 4;                                      // before that worth is estimated,
constexpr size_t kColumnsJudged = 4096;                                   // from so many columns
constexpr int64_t kRowsRemembered = 64, kMostGap = int64_t{1} << 31;
constexpr uint64_t kLeastRestWorth = 2;
constexpr size_t kRatioEvery = 16;       // columns between new ratios, and from the end those with one each
constexpr uint64_t kMostRows = 1 << 14;  // in a column's sum; then sum and number are halved

// Predicted matrices add what neighbours tell: adaptive probabilities, one table of them an input.
struct InputSpec {
  int classes_joined;       // square classes that share a row of the table
  int extra;                // rows for each of them
  uint32_t worth, slowest;  // bits that the first probabilities are worth, and that the slowest ones remember
};
constexpr int kInputs = 3;
constexpr InputSpec kSpecs[kInputs] = {
    {2, kRecentClasses, 20, 300}, {4, kNeighbourClasses* kNeighbourClasses, 20, 300}, {1, 1, 60, 1000}};
constexpr uint32_t kRoundingSquare = 21;  // 1/12: predictions are rounded to a code, the rest is a context
constexpr int kHalfMean = 1 << (kMeanBits - 1), kSignMagnitudes = 8;
constexpr uint32_t kFirstSeen = 4, kSlowestSign = 1000;
constexpr int kWeightBits = 20, kWeightSets = (kMostLowBits + 1) * kNodes;
constexpr int32_t kOne = 1 << kWeightBits, kMostWeight = 16 * kOne;
constexpr int kPlainPace = 16, kMixedPace = 12;  // shifts of the weights' steps

// How large codes next to it are, against the expected square: 8 z^2 in steps that hold about as many each.
int neighbour_class(int sum_of_three, uint32_t square) {
  constexpr uint64_t kSteps[kNeighbourClasses - 1] = {1, 3, 6, 11, 18, 28, 44};
  const uint64_t sum = static_cast<uint64_t>(sum_of_three);
  const uint64_t z = sum * sum * (256 * 8) / (9 * (uint64_t{square} + 1));
  int result = 0;
  for (const uint64_t step : kSteps) result += z >= step ? 1 : 0;
  return result;
}

template <class Coder>
class MatrixModel {
 public:
  MatrixModel(Coder* coder, const CodeKind& kind, bool predicted)
      : coder_(*coder),
        cols_(static_cast<size_t>(kind.cols)),
        limit_((1 << (kind.bits - 1)) - 1),
        most_low_bits_(kind.bits - 1),
        trellis_(kind.trellis ? cols_ : 0),
        squares_(cols_),
        recent_(cols_),
        expected_(cols_),
        above_(cols_) {
    for (auto& weights : weights_) weights.fill(kOne);
    if (coder_.code(32768, predicted ? 1 : 0) == 0) return;
    predictor_ = std::make_unique<ColumnPredictor>(cols_, limit_, kind.trellis);
    for (auto& weights : weights_) weights.fill(kOne / (1 + kInputs));
    for (auto& counters : signs_) counters.fill(BitCounter(32768, kFirstSeen));
    for (size_t i = 0; i < kInputs; ++i) {
      const InputSpec& spec = kSpecs[i];
      std::vector<BitCounter>& table = tables_[i];
      table.reserve(static_cast<size_t>(kSquareClasses / spec.classes_joined * spec.extra * kNodes));
      for (int row = 0; row < kSquareClasses / spec.classes_joined * spec.extra; ++row) {
        const auto& one = priors_[0].one[static_cast<size_t>(row / spec.extra * spec.classes_joined)];
        for (const uint16_t p : one) table.emplace_back(p, spec.worth);
      }
    }
  }

  void row(int8_t* codes) {
    expect();
    RowState state{.target = rows_ == 0 ? expected_sum_ : row_square_, .recent = mean_};
    const uint64_t each = expected_sum_ / cols_ + 1;
    state.worth =
        std::clamp(row_variance_ / (2 * each) / each, kLeastRestWorth, uint64_t{cols_} + kLeastRestWorth) * each;
    for (size_t j = 0; j < cols_; ++j) {
      if (j % kRatioEvery == 0 || cols_ - j < kRatioEvery) new_ratio(&state);
      const uint32_t square = scaled(expected_[j], state.rest_ratio);
      const size_t fine = static_cast<size_t>(square_class(square));
      const int half = trellis_.empty() ? 0 : trellis_half(trellis_[j]);
      const int set = predictor_ == nullptr ? half : 0;
      low_ = std::min<int>(priors_[static_cast<size_t>(set)].low_bits[fine], most_low_bits_);
      prior_ = priors_[static_cast<size_t>(set)].logit[fine].data();
      first_weights_ = set * kWeightSets;
      if (predictor_ == nullptr) {
        codes[j] = static_cast<int8_t>(half == 0 ? symbol(codes[j]) : half_symbol(codes[j]));
        const int twice = 2 * codes[j] - half;
        learn(static_cast<uint32_t>(twice * twice), j, &state);
      } else {
        predicted_code(&codes[j], half, j, square, &state);
      }
      if (!trellis_.empty()) trellis_[j] = next_trellis_state(trellis_[j], codes[j]);
    }
    if (predictor_ != nullptr) predictor_->end_row();
    total_ += state.seen;
    learn_row(state.seen);
    ++rows_;
    ++column_rows_;
  }

 private:
  struct RowState {
    uint64_t target;                  // sum of squares that the row is thought to have, from rows before
    uint64_t seen = 0, foreseen = 0;  // so far: found, and expected by columns
    uint64_t worth = 0;               // of columns' means, as a sum of squares, beside what the target leaves
    uint64_t rest_ratio = kRatioOne;
    uint32_t recent;  // mean square of the last codes
    int left = 0, left2 = 0;
  };

  // Mean squares of the columns, from the rows so far.
  void expect() {
    mean_ = static_cast<uint32_t>((total_ + (kFirstCount * kFirstSquare << 8)) / (rows_ * cols_ + kFirstCount));
    if (column_rows_ == kMostRows) {
      for (uint64_t& square : squares_) square = square / 8 * 4;
      column_rows_ /= 2;
    }
    const uint64_t worth = mean_worth();
    const uint64_t reciprocal = (uint64_t{1} << 32) / (column_rows_ + worth);
    expected_sum_ = 0;
    const bool predicts = predictor_ != nullptr && predictor_->active();
    for (size_t j = 0; j < cols_; ++j) {
      expected_[j] = predicts ? predictor_->expected_square(j) + kRoundingSquare
                              : static_cast<uint32_t>(((squares_[j] << 6) + worth * mean_) * reciprocal >> 32);
      expected_sum_ += expected_[j];
    }
  }

  // The mean of rows' sums of squares and its variance, the last 64 rows or so.
  void learn_row(uint64_t seen) {
    if (rows_ == 0) {
      row_square_ = seen;
      row_variance_ = 2 * (seen / cols_) * seen;  // of independent codes
      return;
    }
    const int64_t gap = static_cast<int64_t>(seen) - static_cast<int64_t>(row_square_);
    const int64_t pace = static_cast<int64_t>(std::min<uint64_t>(rows_ + 1, kRowsRemembered));
    const int64_t square = std::min(std::abs(gap), kMostGap) * std::min(std::abs(gap), kMostGap);
    row_square_ = static_cast<uint64_t>(static_cast<int64_t>(row_square_) + gap / pace);
    row_variance_ = static_cast<uint64_t>(static_cast<int64_t>(row_variance_) +
                                          (square - static_cast<int64_t>(row_variance_)) / pace);
  }

  // How many codes of a column the mean of all columns is worth: 2 mean^2 (the variance of a bell curve's square) over the variance
  // of the columns' true mean squares, which is that of the found ones less what chance gives them.
  uint64_t mean_worth() const {
    if (column_rows_ < kRowsToJudge) return kFirstWorth;
    const size_t judged = std::min(cols_, kColumnsJudged);
    uint64_t sum = 0, squares = 0;
    for (size_t j = 0; j < judged; ++j) sum += (squares_[j] << 6) / column_rows_;
    const uint64_t mean = sum / judged;
    for (size_t j = 0; j < judged; ++j) {
      const int64_t gap = static_cast<int64_t>((squares_[j] << 6) / column_rows_) - static_cast<int64_t>(mean);
      squares += static_cast<uint64_t>(gap * gap);
    }
    const uint64_t found = squares / judged, chance = 2 * mean * mean / column_rows_;
    if (found <= chance) return kMostWorth;
    return std::clamp(2 * mean * mean / (found - chance), kLeastWorth, kMostWorth);
  }

  void new_ratio(RowState* state) const {
    const uint64_t left = state->target > state->seen ? state->target - state->seen : 0;
    state->rest_ratio = ratio(left + state->worth, expected_sum_ - state->foreseen + state->worth);
  }

  static uint64_t ratio(uint64_t part, uint64_t all) { return std::min(part * kRatioOne / all, kRatioLimit); }
  static uint32_t scaled(uint64_t square, uint64_t by) {
    return static_cast<uint32_t>(std::min(square * by / kRatioOne, kSquareLimit));
  }

  // Points every input at the row of its table for the code at column j, whose expected square this is.
  void pick(const RowState& state, size_t j, uint32_t square) {
    const int fine = square_class(square);
    const int recent = std::clamp((square_class(state.recent) - fine) / 4 + kRecentClasses / 2, 0, kRecentClasses - 1);
    const int left = neighbour_class(2 * state.left + state.left2, square);
    const int above = neighbour_class(3 * above_[j], square);
    const int rows[kInputs] = {fine / 2 * kRecentClasses + recent,
                               (fine / 4 * kNeighbourClasses + left) * kNeighbourClasses + above,
                               square_class((recent_[j] + expected_[j]) / 2)};
    for (size_t i = 0; i < kInputs; ++i) picked_[i] = &tables_[i][static_cast<size_t>(rows[i] * kNodes)];
  }

  // A code whose value is predicted to be near `mean`, in 1/16: the nearest code is the centre, the rest a context of the sign.
  void predicted_code(int8_t* code, int half, size_t j, uint32_t square, RowState* state) {
    pick(*state, j, square);
    const int mean = predictor_->predict(j), of_code = mean + half * kHalfMean;
    centre_ = (of_code + kHalfMean) >> kMeanBits;
    fraction_ = of_code - centre_ * (1 << kMeanBits) + kHalfMean;
    *code = static_cast<int8_t>(symbol(*code));
    predictor_->add(j, *code, half, mean);
    const int magnitude = std::abs(*code - centre_);
    const uint32_t quarters = static_cast<uint32_t>(4 * magnitude * magnitude);
    learn(quarters, j, state);
    const int64_t now = int64_t{quarters} << 6;
    state->recent = static_cast<uint32_t>(state->recent + ((now - state->recent) >> 4));
    recent_[j] = static_cast<uint32_t>(rows_ == 0 ? now : recent_[j] + ((now - recent_[j]) >> 5));
    state->left2 = state->left;
    state->left = magnitude;
    above_[j] = static_cast<uint8_t>(magnitude);
  }

  void learn(uint32_t quarters, size_t j, RowState* state) {
    squares_[j] += quarters;
    state->seen += quarters << 6;
    state->foreseen += expected_[j];
  }

  // code: when encoding; returns it in both directions.
  int symbol(int code) {
    int result = magnitude(std::abs(code - centre_), limit_ + std::abs(centre_));
    if (result != 0 && negative(result, code < centre_ ? 1 : 0)) result = -result;
    return std::clamp(centre_ + result, -limit_, limit_);  // only damaged codes go beyond
  }

  // A code that stands for half a step less: 1, 2, ... mirror 0, -1, ..., and only the limit has no other side.
  int half_symbol(int code) {
    const int result = std::min(magnitude(code > 0 ? code - 1 : -code, limit_), limit_);
    const bool below = result == limit_ || coder_.code(32768, code > 0 ? 0 : 1) != 0;
    return below ? -result : result + 1;
  }

  int magnitude(int wanted, int most) {
    int run = 0;
    while (run < most >> low_ && bit(run_node(run), run < wanted >> low_ ? 1 : 0) != 0) ++run;
    int result = run;
    if (low_ > 0) {
      const int first = bit(first_low_node(run), wanted >> (low_ - 1) & 1);
      result = result * 2 + first;
      if (low_ > 1) result = result * 2 + bit(second_low_node(run, first), wanted >> (low_ - 2) & 1);
      for (int k = low_ - 3; k >= 0; --k) result = result * 2 + coder_.code(32768, wanted >> k & 1);
    }
    return result;
  }

  // The sign of a difference to the prediction: known where only one fits the limit.
  bool negative(int magnitude, int wanted) {
    if (centre_ - magnitude < -limit_) return false;
    if (centre_ + magnitude > limit_) return true;
    if (predictor_ == nullptr) return coder_.code(32768, wanted) != 0;
    BitCounter& counter =
        signs_[static_cast<size_t>(fraction_)][static_cast<size_t>(std::min(magnitude, kSignMagnitudes) - 1)];
    const int result = coder_.code(std::clamp(counter.one(), kLeastOne, kMostOne), wanted);
    counter.update(result, kSlowestSign, rates_);
    return result != 0;
  }

  size_t weight_set(int node) const { return static_cast<size_t>(first_weights_ + low_ * kNodes + node); }
  int bit(int node, int value) { return predictor_ == nullptr ? plain_bit(node, value) : mixed_bit(node, value); }

  // The prior's log-odds, stretched by a weight that learns how the codes' shape differs from the bell curve's.
  int plain_bit(int node, int value) {
    int32_t& weight = weights_[weight_set(node)][0];
    const int64_t sum = int64_t{weight} * prior_[node];
    const int error = code_bit(sum, &value);
    const int32_t moved = weight + ((prior_[node] * (error >> 1) + (1 << (kPlainPace - 1))) >> kPlainPace);
    weight = std::clamp(moved, -kMostWeight, kMostWeight);
    return value;
  }

  int mixed_bit(int node, int value) {
    auto& weights = weights_[weight_set(node)];
    std::array<int, 1 + kInputs> logits;
    logits[kInputs] = prior_[node];
    for (size_t i = 0; i < kInputs; ++i) logits[i] = logits_.stretch[picked_[i][node].one() >> 4];
    int64_t sum = 0;
    for (size_t i = 0; i <= kInputs; ++i) sum += int64_t{weights[i]} * logits[i];
    const int error = code_bit(sum, &value);
    for (size_t i = 0; i <= kInputs; ++i) {
      const int32_t moved = weights[i] + ((logits[i] * (error >> 1) + (1 << (kMixedPace - 1))) >> kMixedPace);
      weights[i] = std::clamp(moved, -kMostWeight, kMostWeight);
    }
    for (size_t i = 0; i < kInputs; ++i) picked_[i][node].update(value, kSpecs[i].slowest, rates_);
    return value;
  }

  // Codes a bit at these log-odds (times 2^kWeightBits); returns what it was less its probability, of 65536.
  int code_bit(int64_t sum, int* value) {
    const int logit = static_cast<int>(std::clamp<int64_t>(sum >> kWeightBits, -kLogitLimit, kLogitLimit));
    const uint32_t one = std::clamp<uint32_t>(logits_.squash[static_cast<size_t>(logit + 2048)], kLeastOne, kMostOne);
    *value = coder_.code(one, *value);
    return (*value << 16) - static_cast<int>(one);
  }

  Coder& coder_;
  const LogitTables& logits_ = logit_tables();
  const std::array<uint32_t, 1024>& rates_ = counter_rates();
  const std::array<CodePriors, 2>& priors_ = code_priors();  // of whole codes, and of halves
  const size_t cols_;
  const int limit_, most_low_bits_;  // of magnitudes; that any low bits keep within it
  std::vector<uint16_t> trellis_;    // registers of the columns; none without a trellis
  uint64_t rows_ = 0, column_rows_ = 0, total_ = 0, row_square_ = 0, row_variance_ = 0,
           expected_sum_ = 0;  // sums of squares: of all, of a usual row, of the columns' means
  uint32_t mean_ = 0;
  std::vector<uint64_t> squares_;            // by column: sum, in quarters
  std::vector<uint32_t> recent_, expected_;  // by column: a moving mean, and the mean so far
  std::vector<uint8_t> above_;
  std::array<std::vector<BitCounter>, kInputs> tables_;
  std::array<BitCounter*, kInputs> picked_{};
  std::array<std::array<int32_t, 1 + kInputs>, 2 * kWeightSets> weights_;  // the prior's last; alone: first
  int low_ = 0, first_weights_ = 0;
  const int16_t* prior_ = nullptr;
  std::unique_ptr<ColumnPredictor> predictor_;  // where the stream says so
  int centre_ = 0, fraction_ = 0;               // the prediction: rounded, and what that left over in 1/16, from 0 on
  std::array<std::array<BitCounter, kSignMagnitudes>, 2 * kHalfMean> signs_;  // by fraction and magnitude
};

}  // namespace

// uncounted: begin
namespace {

Bytes encode_as(std::span<const int8_t> codes, const CodeKind& kind, bool predicted) {
  RangeEncoder encoder;
  MatrixModel<RangeEncoder> model(&encoder, kind, predicted);
  std::vector<int8_t> row(static_cast<size_t>(kind.cols));
  for (size_t begin = 0; begin < codes.size(); begin += row.size()) {
    std::copy_n(codes.begin() + static_cast<std::ptrdiff_t>(begin), row.size(), row.begin());
    model.row(row.data());
  }
  return encoder.finish();
}

}  // namespace

// Prediction is tried where correlations make it likely, and kept where it pays: it has more to learn.
Bytes encode_codes(std::span<const int8_t> codes, const CodeKind& kind) {
  CHECK(kind.cols > 0 && codes.size() % static_cast<size_t>(kind.cols) == 0);
  Bytes plain = encode_as(codes, kind, false);
  if (!columns_correlate(codes, kind.cols)) return plain;
  Bytes predicted = encode_as(codes, kind, true);
  return predicted.size() < plain.size() ? predicted : plain;
}

// uncounted: end
void check_code_count(std::span<const std::byte> coded, const std::string& name, uint64_t codes) {
  if (codes / kMostCodesAByte > coded.size() + 8) {
    fail("stream ", name, ": ", coded.size(), " coded bytes cannot hold ", codes, " codes");
  }
}

void decode_codes(std::span<const std::byte> coded, const CodeKind& kind, const std::string& name, std::span<int8_t> codes) {
  const int64_t cols = kind.cols;
  CHECK(cols > 0 && codes.size() % static_cast<size_t>(cols) == 0);
  check_code_count(coded, name, codes.size());
  RangeDecoder decoder(coded);
  MatrixModel<RangeDecoder> model(&decoder, kind, false);
  for (size_t begin = 0; begin < codes.size(); begin += static_cast<size_t>(cols)) model.row(codes.data() + begin);
  if (!decoder.at_end()) fail("stream ", name, ": more coded bytes than its codes take");
}

}  // namespace sixteen
