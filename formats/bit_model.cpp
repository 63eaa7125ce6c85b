// See bit_model.h. The tables are made of integer arithmetic, so that they are the same everywhere.
#include "formats/bit_model.h"

namespace sixteen {
namespace {

constexpr uint64_t kStep = 4278222805;  // 2^32 exp(-1/256), rounded down

LogitTables make_tables() {
  LogitTables tables{};
  uint64_t odds = uint64_t{1} << 32;  // 2^32 exp(-k / 256)
  for (int k = 0; k < 2048; ++k) {
    const uint64_t one = (uint64_t{1} << 48) / ((uint64_t{1} << 32) + odds);  // of 65536
    tables.squash[static_cast<size_t>(2048 + k)] = static_cast<uint16_t>(std::min<uint64_t>(one, 65535));
    tables.squash[static_cast<size_t>(2048 - k)] = static_cast<uint16_t>(65536 - one);
    odds = odds * kStep >> 32;
  }
  tables.squash[0] = tables.squash[1];
  int logit = -kLogitLimit;
  for (size_t p = 0; p < tables.stretch.size(); ++p) {
    while (logit < kLogitLimit && tables.squash[static_cast<size_t>(logit + 1 + 2048)] <= 16 * p + 8) ++logit;
    tables.stretch[p] = static_cast<int16_t>(logit);
  }
  return tables;
}

std::array<uint32_t, 1024> make_rates() {
  std::array<uint32_t, 1024> rates{};
  for (uint32_t n = 0; n < rates.size(); ++n) rates[n] = 2 * 65536 / (2 * n + 3);
  return rates;
}

}  // namespace

const LogitTables& logit_tables() {
  static const LogitTables tables = make_tables();
  return tables;
}

const std::array<uint32_t, 1024>& counter_rates() {
  static const std::array<uint32_t, 1024> rates = make_rates();
  return rates;
}

}  // namespace sixteen
