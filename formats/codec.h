// Lossless codecs of artifact streams, and the byte shuffle that precedes them.
//
// Bites: decode() needs the decoded size beforehand and refuses a stream that yields more or fewer bytes, or that has
// bytes behind its end. Shuffling here is the bare permutation; the records' 5-byte "BSHF" header is added by its own pair.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sixteen {

using Bytes = std::vector<std::byte>;

// The first four are general; kSixteen is our own, for artifact streams alone (matrix_coder.h, value_coder.h); kAuto is a
// writer's choice of the smallest and never stands in a file.
enum class Codec : uint8_t { kStored = 0, kBrotli = 1, kZstd = 2, kXz = 3, kSixteen = 4, kAuto = 5 };

std::string_view codec_name(Codec codec);  // "stored", "brotli", "zstd", "xz", "sixteen", "auto"
Codec parse_codec(std::string_view name);  // throws Error naming the known ones
int default_level(Codec codec);            // 11, 22, 9 (xz preset 9 extreme), else 0
void check_level(Codec codec, int level);  // throws Error outside of the codec's range

// General codecs only, as the decoders below.
Bytes encode(Codec codec, int level, std::span<const std::byte> input);

// Throws Error ("stream NAME: ...") on any damage.
Bytes decode(Codec codec, std::span<const std::byte> input, size_t decoded_bytes, const std::string& name);

// For streams of other programs, whose decoded size nobody tells: as decode(), but any size up to max_bytes will do.
Bytes decode_up_to(Codec codec, std::span<const std::byte> input, size_t max_bytes, const std::string& name);

// All bytes at offsets = 0 mod stride, then all at 1 mod stride, ... ; unshuffle is the inverse.
Bytes shuffle_bytes(std::span<const std::byte> input, size_t stride);
Bytes unshuffle_bytes(std::span<const std::byte> input, size_t stride);

// The records' form (PR 1394 and later): "BSHF", the stride as one byte, then the shuffled bytes; inputs shorter than the
// stride are returned unchanged and without header.
Bytes shuffle_with_header(std::span<const std::byte> input, size_t stride);
Bytes unshuffle_with_header(std::span<const std::byte> input);

}  // namespace sixteen
