// PyTorch files. A fuzzer cannot find a CRC-32, so the input is also taken for a pickle and one storage, and zipped soundly;
// what comes out goes through the import as far as tensors, so the dictionaries of the records are covered too.
#include <algorithm>
#include <cstdint>

#include "formats/check.h"
#include "formats/error.h"
#include "packer/import_tensors.h"
#include "tests/support/torch_writer.h"

namespace {

void parse(std::span<const std::byte> file) {
  try {
    const sixteen::TorchFile torch(sixteen::open_torch_container(file, "fuzz.pt"), "fuzz.pt");
    for (const sixteen::PackedTensor& tensor : sixteen::read_torch_tensors(torch).tensors) {
      CHECK(static_cast<int64_t>(tensor.dequantise().size()) == tensor.numel());
    }
  } catch (const sixteen::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> input = std::as_bytes(std::span(data, size));
  parse(input);
  if (size < 2) return 0;
  const size_t pickle = std::min(size - 2, static_cast<size_t>(data[0]) * 256 + data[1]);  // bytes of it; the rest is the storage
  const std::string text(reinterpret_cast<const char*>(data) + 2, pickle);
  const auto storage = input.subspan(2 + pickle);
  parse(sixteen::testing::torch_zip(text, {{storage.begin(), storage.end()}}));
  return 0;
}
