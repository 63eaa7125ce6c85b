// Our own coders of codes and values. Whatever bytes decode to, coding that again and decoding it must give it back.
// Input: bits and whether there is a trellis, columns, then the coded bytes.
#include <cstdint>
#include <vector>

#include "formats/check.h"
#include "formats/error.h"
#include "formats/matrix_coder.h"
#include "formats/value_coder.h"

namespace {

using namespace sixteen;

void codes(int bits, size_t cols, bool trellis, std::span<const std::byte> coded) {
  const CodeKind kind{.cols = static_cast<int64_t>(cols), .bits = bits, .trellis = trellis};
  std::vector<int8_t> first(cols * (1 + coded.size() / cols)), second(first.size());
  try {
    decode_codes(coded, kind, "fuzz", first);
  } catch (const Error&) {
    // `first` holds codes all the same
  }
  decode_codes(encode_codes(first, kind), kind, "again", second);
  CHECK(first == second);
}

void values(size_t length, std::span<const std::byte> coded) {
  std::vector<ValueTensor> first(1 + coded.size() / (2 * length));
  for (size_t i = 0; i < first.size(); ++i) {
    first[i].values.resize(length);
    first[i].low_halves = i % 5 == 4;
  }
  std::vector<ValueTensor> second = first;
  try {
    decode_values(coded, "fuzz", first);
  } catch (const Error&) {
  }
  decode_values(encode_values(first), "again", second);
  for (size_t i = 0; i < first.size(); ++i) CHECK(first[i].values == second[i].values);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::span<const std::byte> coded = std::as_bytes(std::span(data + 2, size - 2));
  codes(2 + data[0] % 7, 1 + data[1], data[0] >= 128, coded);
  values(1 + data[1], coded);
  return 0;
}
