// safetensors: u64 header length, JSON header {name: {dtype, shape, data_offsets}, "__metadata__": {str: str}}, data.
//
// Bites: offsets must tile the data area without holes or overlap; a file with a byte more or less is refused. Tensors are
// written in the order given, the data area starts at a multiple of 8 (header padded with blanks, as the format's own
// writer does).
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "formats/dtype.h"
#include "formats/file.h"

namespace sixteen {

struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;  // little-endian, row-major; lives as long as its file or owner
  uint64_t offset = 0;               // of the bytes in the file; 0 when not from a file

  int64_t numel() const;
};

class SafetensorsFile {
 public:
  // Throws Error (path, what, expected, found) on anything malformed.
  explicit SafetensorsFile(const std::string& path);
  const std::string& path() const { return file_.path(); }
  const std::vector<TensorView>& tensors() const { return tensors_; }  // in file order
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const TensorView* find(const std::string& name) const;               // nullptr when absent
  const TensorView& at(const std::string& name) const;                 // throws Error when absent

 private:
  MappedFile file_;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

// Parses a complete file in memory; `where` names it in errors. What SafetensorsFile and the fuzz target use.
void parse_safetensors(std::span<const std::byte> file, const std::string& where, std::vector<TensorView>* tensors,
                       std::map<std::string, std::string>* metadata);

// Atomic. Tensor bytes must match dtype and shape (CHECK).
void write_safetensors(const std::string& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata);

// SHA-256 in hex over all that a file says: metadata (but its key "sha256") and names, types, shapes and bytes of the
// tensors in order of their names. Two files of equal content have equal hashes, however they are laid out.
std::string content_hash(std::span<const TensorView> tensors, const std::map<std::string, std::string>& metadata);

// Any floating or integer tensor as fp32 values. Throws Error for kBool or a count that does not match `out`.
void copy_as_float(const TensorView& tensor, std::span<float> out);

}  // namespace sixteen
