// Self-extracting Python scripts, exec(lzma.decompress(base64.b85decode("..."))): what is inside of one, and how large a script would be
// as one (legality 1.3, 4.9).
//
// Bites: nothing is executed. Coding is a search for a literal behind b85decode( or b64decode( in a file that also calls exec(; what is
// inside may be a wrapper again. zlib is not read (this project has no reader of it); such a file counts as it is, and is said to.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "formats/codec.h"

namespace sixteen {

// Python's base64.b85encode and its inverse (RFC 1924's alphabet); nothing for text that is none.
std::string encode_base85(std::span<const std::byte> bytes);
std::optional<Bytes> decode_base85(std::string_view text);
std::optional<Bytes> decode_base64(std::string_view text);

struct Unwrapped {
  std::string source;   // empty: a wrapper that could not be read
  std::string problem;  // why
};
// Nothing when `script` is no wrapper.
std::optional<Unwrapped> unwrap_python(std::string_view script);

// A wrapper of `source` that runs: xz, preset 9 extreme, base 85. No minifier is applied.
std::string wrap_python(std::string_view source);

}  // namespace sixteen
