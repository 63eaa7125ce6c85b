// The streams that a program under test is run on: the text with everything after a cut changed, random ids, every id once.
//
// All of them depend on the seed alone. Bites: "ids" are those that a random stream may hold, without BOS; a program is run on
// these streams as on real text, so they begin with BOS and have documents.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "formats/tokenizer.h"
#include "model/numpy_random.h"

namespace sixteen {

using Tokens = std::vector<uint16_t>;

// What happens to the tokens after a cut; those up to it stay.
enum class Change : uint8_t {
  kOneToken,   // the first one is another id
  kRandom,     // random ids, BOS where it was
  kPermuted,   // the tail's own ids in another order, BOS where it was
  kOtherText,  // the tail of another text
  kBosMoved,   // the same number of tokens, other ends of documents
  kShuffled,   // later documents in another order
  kTruncated,  // nothing follows
};
inline constexpr Change kChanges[] = {Change::kOneToken, Change::kRandom,   Change::kPermuted, Change::kOtherText,
                                      Change::kBosMoved, Change::kShuffled, Change::kTruncated};
const char* change_name(Change change);
// Documents keep their lengths: a program that sorts by length keeps its order.
bool keeps_lengths(Change change);

// tokens[0 .. cut] and a changed rest. `other`: a text to take tails from, may be empty (random ids then).
Tokens change_after(std::span<const uint16_t> tokens, int64_t cut, Change change, std::span<const uint16_t> other,
                    std::span<const uint16_t> ids, int32_t bos, NumpyRandom* random);

// `count` cuts in [1, tokens - 2], ascending: around ends of documents, around multiples of powers of two (chunks and windows end
// there), anywhere.
std::vector<int64_t> choose_cuts(std::span<const uint16_t> tokens, int64_t count, int32_t bos, NumpyRandom* random);

// The distinct ids of a text but BOS, ascending.
Tokens ids_of(std::span<const uint16_t> tokens, int32_t bos);

// BOS and 199 ids, again and again, `count` in all; each id drawn from `law` (weights of `ids`; empty: uniform).
Tokens random_stream(int64_t count, std::span<const uint16_t> ids, std::span<const double> law, int32_t bos, NumpyRandom* random);

// Every id of the tables in random order, and once more behind BOS if it begins with a blank: all there is to count.
Tokens every_token(const ByteTables& tables, int32_t bos, NumpyRandom* random);

// First tokens of documents: positions of BOS, and 0.
std::vector<int64_t> document_starts(std::span<const uint16_t> tokens, int32_t bos);

}  // namespace sixteen
