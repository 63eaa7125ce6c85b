// The .s16 artifact: a packed model in one file. docs/FORMATS.md gives it byte by byte; in short
//   "S16A" | u32 version | header (JSON: model config, tensor index, streams) | coded streams | SHA-256 of all before it.
// Each tensor is codes (int, `bits` wide in value, one int8 each) with one fp16 scale a row, or plain fp16 / fp32 / bf16;
// either may be marked as a table whose values count only after rounding to bf16, as some records load theirs.
// The codes of each tensor are one stream, all scales another, all plain values a third; each is coded by itself.
//
// Bites: a quantised value is float(code) * float(scale), exactly, in fp32 (then round_bf16); under a trellis the codes above it in its
// column may take half a step off the code first (formats/trellis.h). Codes lie within +-(2^(bits-1) - 1). The reader
// verifies the hash first, then every length; an index with holes, overlaps or leftovers is refused.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "formats/codec.h"
#include "formats/dtype.h"
#include "formats/sha256.h"

namespace sixteen {

struct PackedTensor {
  std::string name;
  std::vector<int64_t> shape;
  int bits = 0;                  // 2..8: codes and scales are used; 0: plain is used
  std::vector<int8_t> codes;     // [rows, cols] row-major, original column order
  std::vector<uint16_t> scales;  // fp16 [rows]
  DType plain_dtype = DType::kF16;
  Bytes plain;              // numel * dtype_bytes(plain_dtype)
  bool round_bf16 = false;  // values are rounded to bf16 last; codes and F16 only
  bool trellis = false;     // codes alone: they mean what formats/trellis.h says

  int64_t numel() const;
  int64_t rows() const { return shape.empty() ? 1 : shape[0]; }
  std::vector<float> dequantise() const;  // [numel]
  std::vector<float> unrounded() const;   // before round_bf16
};

struct StreamOptions {
  Codec codec = Codec::kAuto;
  int level = 0;
  int shuffle_stride = 1;  // before a general codec; 1: none
};
constexpr StreamOptions kOwnCodec{.codec = Codec::kSixteen, .level = 0, .shuffle_stride = 1};

// Every kind of stream there can be.
constexpr const char* kStreamNames[] = {"codes2", "codes3", "codes4", "codes5", "codes6",
                                        "codes7", "codes8", "scales", "plain"};

struct StreamInfo {       // what `inspect` shows
  std::string name;       // its kind: "codes6", "codes8", "scales", "plain"
  int tensor = -1;        // whose codes it holds; -1: of all tensors
  StreamOptions options;  // never kAuto in a file
  uint64_t offset = 0, coded_bytes = 0, raw_bytes = 0;
};

struct Artifact {
  std::string config_json;  // the model config ([model]); checked against the tensors by model/checkpoint.h
  std::map<std::string, std::string> metadata;  // producer, quantiser settings; free text
  std::vector<PackedTensor> tensors;
  std::vector<StreamInfo> streams;  // filled by the reader and the writer
  Sha256 digest{};                  // filled by the reader and the writer
  uint64_t file_bytes = 0;          // filled by the reader and the writer
};

// Serialises; fills streams, digest and file_bytes. `options` by stream name; streams not named use `fallback`. Streams are coded
// on several threads (run_jobs), with the same bytes for any number.
Bytes serialise_artifact(Artifact* artifact, const std::map<std::string, StreamOptions>& options,
                         const StreamOptions& fallback);

// Throws Error (where, offset, expected, found) on any damage. Decodes on several threads.
Artifact parse_artifact(std::span<const std::byte> file, const std::string& where);

Artifact read_artifact(const std::string& path);
bool is_artifact(const std::string& path);  // by magic; throws Error when unreadable

}  // namespace sixteen
