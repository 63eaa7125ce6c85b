// .s16z files with a right check and any body, as an adversary would write them.
#pragma once

#include <algorithm>

#include "formats/proof_file.h"
#include "tests/support/bytes.h"

namespace sixteen::testing {

// body: what follows the check.
inline ByteVector seal_proof(const ByteVector& body) {
  const ByteVector head = from_hex("53 31 36 5a 01");
  const Sha256 digest = sha256(joined(head, body));
  ByteVector check(4);
  std::transform(digest.begin(), digest.begin() + 4, check.begin(), [](uint8_t b) { return std::byte{b}; });
  return joined(joined(head, check), body);
}

}  // namespace sixteen::testing
