// PyTorch's tensor files (torch.save since 1.6: a zip of raw storages and one pickle), and the compressed form in which the
// records ship them (.ptz: xz, zstd or Brotli, under Brotli with the byte shuffle of codec.h inside).
//
// Bites: nothing of the pickle is executed (pickle.h); tensors are views of storages, which may be shared, offset and transposed;
// every view is checked against its storage. Not read: files of torch.save before 1.6, TorchScript, big-endian, sparse or
// quantised tensors. Source: torch/serialization.py, torch/_utils.py.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "formats/codec.h"
#include "formats/dtype.h"
#include "formats/pickle.h"
#include "formats/zip.h"

namespace sixteen {

constexpr size_t kMaxTorchFileBytes = size_t{512} << 20;  // decompressed

// The bytes of the tensor zip inside a .pt or .ptz file, told apart by content. Throws Error for anything else (zlib, for which #754
// has a branch that no record took, by name), and when more than kMaxTorchFileBytes come out.
Bytes open_torch_container(std::span<const std::byte> file, const std::string& where);

struct TorchTensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape, strides;  // in elements; strides not negative
  std::span<const std::byte> storage;   // whole
  int64_t offset = 0;                   // in elements

  int64_t numel() const;
  Bytes contiguous() const;  // [numel] row-major; at most as large as the storage
};

class TorchFile {
 public:
  // `zip`: what open_torch_container gives. Throws Error.
  TorchFile(Bytes zip, std::string where);
  const std::string& where() const { return where_; }
  const PickleValue& root() const { return *pickle_.root; }  // a state dict, or whatever was saved
  static bool is_tensor(const PickleValue& value);
  // Throws Error naming the tensor unless `value` is one that lies within its storage.
  TorchTensor tensor(const PickleValue& value, const std::string& name) const;

 private:
  std::span<const std::byte> storage_of(const PickleValue& value, const std::string& what, DType* dtype) const;

  Bytes zip_;
  std::string where_, prefix_;  // "archive/"
  std::map<std::string, std::span<const std::byte>> entries_;
  Pickle pickle_;
};

}  // namespace sixteen
