// safetensors and the resume state from any bytes: an Error or tensors that tile the data area.
#include <cstdint>
#include <vector>

#include "formats/check.h"
#include "formats/error.h"
#include "formats/safetensors.h"
#include "formats/train_state.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> input = std::as_bytes(std::span(data, size));
  std::vector<sixteen::TensorView> tensors;
  std::map<std::string, std::string> metadata;
  try {
    sixteen::parse_safetensors(input, "fuzz.safetensors", &tensors, &metadata);
  } catch (const sixteen::Error&) {
    return 0;
  }
  uint64_t bytes = 0;
  for (const sixteen::TensorView& tensor : tensors) {
    CHECK(tensor.offset + tensor.bytes.size() <= size);
    bytes += tensor.bytes.size();
    std::vector<float> values(static_cast<size_t>(tensor.numel()));
    if (tensor.dtype != sixteen::DType::kBool) sixteen::copy_as_float(tensor, values);
  }
  CHECK(bytes < size);
  try {
    sixteen::verify_train_state(tensors, metadata, "fuzz.state");
  } catch (const sixteen::Error&) {
  }
  return 0;
}
