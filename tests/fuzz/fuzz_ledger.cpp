// Ledgers from any bytes: an Error, or records whose hashes hold, a fault behind them, or nothing behind them.
#include <cstdint>

#include "formats/check.h"
#include "formats/error.h"
#include "formats/ledger.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const sixteen::Ledger ledger = sixteen::parse_ledger(std::as_bytes(std::span(data, size)), "fuzz");
    CHECK(ledger.good_bytes <= size && ledger.fault.empty() == (ledger.good_bytes == size));
    for (const sixteen::LedgerRecord& record : ledger.records) CHECK(record.body.at("kind") == record.kind);
  } catch (const sixteen::Error&) {
  }
  return 0;
}
