// The .s16 header: the JSON text that says which tensors and streams follow. Shared by the artifact's writer and reader;
// everybody else includes formats/artifact.h.
//
// Bites: the text is canonical. The reader prints what it understood and refuses a header that differs by a byte, so that
// unknown keys, twin keys, other orders and odd number spellings need no checks of their own.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/artifact.h"

namespace sixteen {

// File layout: magic, u32 version, u32 coded header bytes, u32 header bytes, coded header, streams, SHA-256.
constexpr std::string_view kArtifactMagic = "S16A";
constexpr uint32_t kArtifactVersion = 2;
constexpr size_t kArtifactPrefixBytes = 16;
constexpr uint64_t kMaxHeaderBytes = uint64_t{16} << 20;    // of JSON text
constexpr uint64_t kMaxDecodedBytes = uint64_t{512} << 20;  // of all streams; 30 times what the game's artifacts hold
constexpr int kMaxShuffleStride = 255;

// The stream that holds a tensor's codes ("codes6") or plain values.
std::string stream_name(const PackedTensor& tensor);

// The streams that these tensors fill, in file order, with raw_bytes set: the codes of each tensor, scales, plain.
// `where` names the artifact in errors; throws Error on tensors that no artifact can hold (also a writer's input).
std::vector<StreamInfo> plan_streams(std::span<const PackedTensor> tensors, const std::string& where);

// Config, metadata, tensors (names, shapes, widths) and streams (all but offset) as JSON, and back.
std::string print_index(const Artifact& artifact);
Artifact parse_index(std::string_view text, const std::string& where);

}  // namespace sixteen
