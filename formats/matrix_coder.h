// Our own coder of a quantised matrix's codes. They are close to independent draws from bell curves whose width differs by
// column (what the input's channels are worth) and a little by row; what can be saved is knowing each width. All of it is estimated
// from codes that are already decoded, so nothing is stored but the coded bits. docs/FORMATS.md 6.2 has it step by step.
//
// Every decision about a code (code_priors.h) is predicted by several adaptive probabilities, each picked by another estimate of
// the code's mean square: by column, by column and row so far, by what is left of a row whose total is known, by neighbours. A
// mixer (bit_model.h) joins them.
//
// Under a trellis the codes' register (formats/trellis.h) runs along, a column each: codes of its second half are odd multiples of half
// a step, with priors of their own.
//
// Bites: one thread takes about 0.06 s a million codes in either direction. Damaged bytes decode to other codes within the range of
// `bits`; what notices them is the artifact's hash.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "formats/codec.h"

namespace sixteen {

struct CodeKind {
  int64_t cols;          // codes are [rows, cols], row-major
  int bits;              // and within +-(2^(bits-1) - 1)
  bool trellis = false;  // they stand for what formats/trellis.h says
};

// The size of the result is what a budget needs to know.
Bytes encode_codes(std::span<const int8_t> codes, const CodeKind& kind);

// Fills `codes`. Throws Error ("stream NAME: ...") when the bytes are more than the codes need or check_code_count() refuses.
void decode_codes(std::span<const std::byte> coded, const CodeKind& kind, const std::string& name, std::span<int8_t> codes);

// Throws Error when so few bytes cannot hold so many codes (1,420 a byte and some); to be asked before memory is taken for them.
void check_code_count(std::span<const std::byte> coded, const std::string& name, uint64_t codes);

}  // namespace sixteen
