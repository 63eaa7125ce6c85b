// See matrix_coder.h. One class both codes and decodes, so that the two cannot part.
#include "formats/matrix_coder.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include "formats/bit_model.h"
#include "formats/check.h"
#include "formats/code_priors.h"
#include "formats/error.h"
#include "formats/range_coder.h"

namespace sixteen {
namespace {

constexpr uint64_t kMostCodesAByte = 1420;  // a code is one bit or more that cost at least log2(256/255)
constexpr int kInputs = 6;
constexpr int kRecentClasses = 16;
constexpr int kNeighbourClasses = 8;  // of the codes to the left, and of the one above

// Mean squares are in 1/256, ratios of them in 1/4096.
constexpr uint64_t kSquareLimit = 1 << 23;
constexpr uint64_t kRatioOne = 1 << 12, kRatioLimit = 1 << 20;
constexpr uint64_t kFirstSquare = 6;     // of codes, before any is known
constexpr uint64_t kFirstCount = 64;     // and how many codes that is worth
constexpr uint64_t kColumnCount = 16;    // how many codes of a column the mean of all is worth
constexpr uint64_t kRowCount = 24;       // how many codes of a row the mean of the columns is worth
constexpr uint64_t kRestCount = 4;       // the same, for what is left of a row
constexpr size_t kRatioEvery = 16;       // columns between new ratios, and from the end those with one each
constexpr uint64_t kMostRows = 1 << 14;  // in a column's sum; then sum and number are halved

// An input's table: which estimates pick a row of it, how much its first probabilities are worth, its slowest pace.
struct InputSpec {
  int classes_joined;  // square classes that share a row
  int extra;           // rows for each of them
  uint32_t worth, slowest;
};
constexpr InputSpec kSpecs[kInputs] = {{1, 1, 60, 1000},
                                       {1, 1, 60, 1000},
                                       {2, kRecentClasses, 30, 500},
                                       {4, kNeighbourClasses* kNeighbourClasses, 30, 500},
                                       {1, 1, 60, 1000},
                                       {1, 1, 60, 1000}};
constexpr int32_t kFirstWeight = 13000, kMostWeight = 1 << 20;  // of 65536

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
  MatrixModel(Coder* coder, int64_t cols, int bits)
      : coder_(*coder),
        cols_(static_cast<size_t>(cols)),
        limit_((1 << (bits - 1)) - 1),
        most_low_bits_(bits - 1),
        squares_(cols_),
        recent_(cols_),
        expected_(cols_),
        above_(cols_) {
    for (size_t i = 0; i < kInputs; ++i) {
      const InputSpec& spec = kSpecs[i];
      std::vector<BitCounter>& table = tables_[i];
      table.reserve(static_cast<size_t>(kSquareClasses / spec.classes_joined * spec.extra * kNodes));
      for (int row = 0; row < kSquareClasses / spec.classes_joined * spec.extra; ++row) {
        const auto& one = priors_.one[static_cast<size_t>(row / spec.extra * spec.classes_joined)];
        for (const uint16_t p : one) table.emplace_back(p, spec.worth);
      }
    }
    for (auto& weights : weights_) weights.fill(kFirstWeight);
  }

  void row(int8_t* codes) {
    expect();
    RowState state{.target = rows_ == 0 ? expected_sum_ : row_square_, .recent = mean_};
    for (size_t j = 0; j < cols_; ++j) {
      if (j % kRatioEvery == 0 || cols_ - j < kRatioEvery) new_ratios(&state);
      pick(state, j);
      const int code = symbol(codes[j]);
      codes[j] = static_cast<int8_t>(code);
      learn(std::abs(code), j, &state);
    }
    total_ += state.seen;
    row_square_ = rows_ == 0 ? state.seen : row_square_ + state.seen / 16 - row_square_ / 16;
    ++rows_;
    ++column_rows_;
  }

 private:
  struct RowState {
    uint64_t target;                  // sum of squares that the row is thought to have, from rows before
    uint64_t seen = 0, foreseen = 0;  // so far: found, and expected by columns
    uint64_t row_ratio = kRatioOne, rest_ratio = kRatioOne;
    uint32_t recent;  // mean square of the last codes
    int left = 0, left2 = 0;
  };

  // Mean squares of the columns, from the rows so far.
  void expect() {
    mean_ = static_cast<uint32_t>((total_ + (kFirstCount * kFirstSquare << 8)) / (rows_ * cols_ + kFirstCount));
    if (column_rows_ == kMostRows) {
      for (uint64_t& square : squares_) square /= 2;
      column_rows_ /= 2;
    }
    const uint64_t reciprocal = (uint64_t{1} << 32) / (column_rows_ + kColumnCount);
    expected_sum_ = 0;
    for (size_t j = 0; j < cols_; ++j) {
      expected_[j] = static_cast<uint32_t>(((squares_[j] << 8) + kColumnCount * mean_) * reciprocal >> 32);
      expected_sum_ += expected_[j];
    }
  }

  void new_ratios(RowState* state) const {
    const uint64_t each = expected_sum_ / cols_ + 1;
    const uint64_t left = state->target > state->seen ? state->target - state->seen : 0;
    state->row_ratio = ratio(state->seen + kRowCount * each, state->foreseen + kRowCount * each);
    state->rest_ratio = ratio(left + kRestCount * each, expected_sum_ - state->foreseen + kRestCount * each);
  }

  static uint64_t ratio(uint64_t part, uint64_t all) { return std::min(part * kRatioOne / all, kRatioLimit); }
  static uint32_t scaled(uint64_t square, uint64_t by) {
    return static_cast<uint32_t>(std::min(square * by / kRatioOne, kSquareLimit));
  }

  // Points every input at the row of its table for the code at column j.
  void pick(const RowState& state, size_t j) {
    const uint32_t square = scaled(expected_[j], state.row_ratio);
    const int by_row = square_class(square);
    const int recent =
        std::clamp((square_class(state.recent) - by_row) / 4 + kRecentClasses / 2, 0, kRecentClasses - 1);
    const int left = neighbour_class(2 * state.left + state.left2, square);
    const int above = neighbour_class(3 * above_[j], square);
    low_ = std::min<int>(priors_.low_bits[static_cast<size_t>(by_row)], most_low_bits_);
    const int rows[kInputs] = {by_row,
                               square_class(expected_[j]),
                               by_row / 2 * kRecentClasses + recent,
                               (by_row / 4 * kNeighbourClasses + left) * kNeighbourClasses + above,
                               square_class(scaled(expected_[j], state.rest_ratio)),
                               square_class((recent_[j] + expected_[j]) / 2)};
    for (size_t i = 0; i < kInputs; ++i) picked_[i] = &tables_[i][static_cast<size_t>(rows[i] * kNodes)];
  }

  void learn(int magnitude, size_t j, RowState* state) {
    const uint32_t square = static_cast<uint32_t>(magnitude * magnitude);
    squares_[j] += square;
    state->seen += square << 8;
    state->foreseen += expected_[j];
    const int64_t now = int64_t{square} << 8;
    state->recent = static_cast<uint32_t>(state->recent + ((now - state->recent) >> 4));
    recent_[j] = static_cast<uint32_t>(rows_ == 0 ? now : recent_[j] + ((now - recent_[j]) >> 5));
    state->left2 = state->left;
    state->left = magnitude;
    above_[j] = static_cast<uint8_t>(magnitude);
  }

  // code: when encoding; returns it in both directions.
  int symbol(int code) {
    const int magnitude = std::abs(code);
    const int wanted = magnitude >> low_, most = limit_ >> low_;
    int run = 0;
    while (run < most && bit(run_node(run), run < wanted ? 1 : 0) != 0) ++run;
    int result = run;
    if (low_ > 0) {
      const int first = bit(first_low_node(run), magnitude >> (low_ - 1) & 1);
      result = result * 2 + first;
      if (low_ > 1) result = result * 2 + bit(second_low_node(run, first), magnitude >> (low_ - 2) & 1);
      for (int k = low_ - 3; k >= 0; --k) result = result * 2 + coder_.code(32768, magnitude >> k & 1);
    }
    if (result == 0) return 0;
    return coder_.code(32768, code < 0 ? 1 : 0) != 0 ? -result : result;
  }

  int bit(int node, int value) {
    auto& weights = weights_[static_cast<size_t>(low_ * kNodes + node)];
    std::array<int, kInputs> logits;
    int64_t sum = 0;
    for (size_t i = 0; i < kInputs; ++i) {
      logits[i] = logits_.stretch[picked_[i][node].one() >> 4];
      sum += int64_t{weights[i]} * logits[i];
    }
    const int logit = static_cast<int>(std::clamp<int64_t>(sum >> 16, -kLogitLimit, kLogitLimit));
    const uint32_t one = std::clamp<uint32_t>(logits_.squash[static_cast<size_t>(logit + 2048)], kLeastOne, kMostOne);
    const int result = coder_.code(one, value);
    const int error = (result << 16) - static_cast<int>(one);
    for (size_t i = 0; i < kInputs; ++i) {
      const int32_t moved = weights[i] + ((logits[i] * (error >> 1) + 0x8000) >> 16);
      weights[i] = std::clamp(moved, -kMostWeight, kMostWeight);
      picked_[i][node].update(result, kSpecs[i].slowest, rates_);
    }
    return result;
  }

  Coder& coder_;
  const LogitTables& logits_ = logit_tables();
  const std::array<uint32_t, 1024>& rates_ = counter_rates();
  const CodePriors& priors_ = code_priors();
  const size_t cols_;
  const int limit_, most_low_bits_;  // of magnitudes; that any low bits keep within it
  uint64_t rows_ = 0, column_rows_ = 0, total_ = 0, row_square_ = 0,
           expected_sum_ = 0;  // sums of squares: of all, of a usual row, of the columns' means
  uint32_t mean_ = 0;
  std::vector<uint64_t> squares_;            // by column: sum, no fraction
  std::vector<uint32_t> recent_, expected_;  // by column: a moving mean, and the mean so far
  std::vector<uint8_t> above_;
  std::array<std::vector<BitCounter>, kInputs> tables_;
  std::array<BitCounter*, kInputs> picked_{};
  std::array<std::array<int32_t, kInputs>, (kMostLowBits + 1) * kNodes> weights_;
  int low_ = 0;
};

}  // namespace

Bytes encode_codes(std::span<const int8_t> codes, int64_t cols, int bits) {
  CHECK(cols > 0 && codes.size() % static_cast<size_t>(cols) == 0);
  RangeEncoder encoder;
  MatrixModel<RangeEncoder> model(&encoder, cols, bits);
  std::vector<int8_t> row(static_cast<size_t>(cols));
  for (size_t begin = 0; begin < codes.size(); begin += row.size()) {
    std::copy_n(codes.begin() + static_cast<std::ptrdiff_t>(begin), row.size(), row.begin());
    model.row(row.data());
  }
  return encoder.finish();
}

void check_code_count(std::span<const std::byte> coded, const std::string& name, uint64_t codes) {
  if (codes / kMostCodesAByte > coded.size() + 8) {
    fail("stream ", name, ": ", coded.size(), " coded bytes cannot hold ", codes, " codes");
  }
}

void decode_codes(std::span<const std::byte> coded, int64_t cols, int bits, const std::string& name,
                  std::span<int8_t> codes) {
  CHECK(cols > 0 && codes.size() % static_cast<size_t>(cols) == 0);
  check_code_count(coded, name, codes.size());
  RangeDecoder decoder(coded);
  MatrixModel<RangeDecoder> model(&decoder, cols, bits);
  for (size_t begin = 0; begin < codes.size(); begin += static_cast<size_t>(cols)) model.row(codes.data() + begin);
  if (!decoder.at_end()) fail("stream ", name, ": more coded bytes than its codes take");
}

}  // namespace sixteen
