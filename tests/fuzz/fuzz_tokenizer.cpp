// SentencePiece models from any bytes: an Error or consistent tables. Encoding with a hostile model is the library's own
// affair and not fuzzed here.
#include <cstdint>

#include "formats/check.h"
#include "formats/error.h"
#include "formats/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const sixteen::Tokenizer tokenizer({reinterpret_cast<const char*>(data), size}, "fuzz.model");
    const sixteen::ByteTables tables = tokenizer.byte_tables(tokenizer.vocab() + 1);
    CHECK(tables.vocab() == tokenizer.vocab() + 1);
    for (int64_t id = 0; id < tables.vocab(); ++id) {
      CHECK(tables.base_bytes[id] >= 0 && tables.leading_space[id] <= 1 && tables.boundary[id] <= 1);
      CHECK(tables.boundary[id] == 0 || (tables.base_bytes[id] == 0 && tables.leading_space[id] == 0));
    }
  } catch (const sixteen::Error&) {
  }
  return 0;
}
