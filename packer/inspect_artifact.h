// `inspect` of packed models: ours, and the records'. Per tensor: coded bytes and bits a weight beside what the codes would need
// without context (order 0) and under the best conditional estimate (code_estimate.h).
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/artifact.h"
#include "formats/torch_file.h"
#include "model/console.h"
#include "packer/inspect.h"

namespace sixteen {

// "8192 x 512"
inline std::string shape_string(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t d : shape) text += (text.empty() ? "" : " x ") + std::to_string(d);
  return text.empty() ? "scalar" : text;
}

// A line of a table; printf's pattern.
template <class... Args>
std::string format(const char* pattern, Args... args) {
  char text[512];
  std::snprintf(text, sizeof(text), pattern, args...);
  return text;
}

// One line of the table.
struct TensorCost {
  std::string name, shape, kind;  // kind: "int6", "F16:BF16"
  std::vector<int64_t> dims;
  uint64_t raw_bytes = 0;
  uint64_t coded_bytes = 0;       // of its codes; 0 for plain tensors, which share a stream
  double weights = 0, order0_bytes = 0, conditional_bytes = 0;
  double entropy_bytes = 0;       // of order 0, all that the tensor stores; scales count in full
  std::string conditional;        // which estimate is the best; empty for plain tensors
};

// The parts of a file, for the report.
struct PartOfFile {
  std::string name;
  uint64_t bytes = 0;
};
struct FileCosts {
  std::string title;
  std::vector<std::pair<std::string, std::string>> facts;
  std::vector<TensorCost> tensors;
  std::vector<PartOfFile> parts;   // other than tensors' codes: scales, plain, header; together with those the whole file
  uint64_t code_bytes = 0;
};

nlohmann::ordered_json inspect_artifact(const std::string& path, const InspectOptions& options, const Console& console);

// A record's packed model: what its content would take as .s16, beside the container's bytes.
nlohmann::ordered_json inspect_foreign(const TorchFile& file, uint64_t container_bytes, const InspectOptions& options, const Console& console);

// Self-contained HTML: a map of the 16,000,000 bytes and the table. inspect_report.cpp.
void write_inspect_report(const std::string& path, const FileCosts& costs);

}  // namespace sixteen
