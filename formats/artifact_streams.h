// The streams of an artifact, between its tensors and coded bytes. Shared by the artifact's writer and reader; everybody else
// includes formats/artifact.h.
//
// Bites: the codes of each tensor are a stream of their own, so that threads can share the work; scales and plain values are
// small and go into one stream each, where they learn from one another.
#pragma once

#include <span>

#include "formats/artifact.h"

namespace sixteen {

// The coded bytes of a stream; stream->options become what they were coded with (an own codec instead of kAuto, its level).
// kAuto is our own codec, unless a general one is smaller: all are tried on streams up to 64 KiB and on those that zstd's
// fastest level makes smaller still.
Bytes encode_stream(std::span<const PackedTensor> tensors, StreamInfo* stream);

// Decodes into the stream's tensors and checks the values. Throws Error on damage; takes no more memory than the tensors
// declare, and none before the coded size makes that many bytes possible.
void decode_stream(std::span<const std::byte> coded, const StreamInfo& stream, std::span<PackedTensor> tensors);

}  // namespace sixteen
