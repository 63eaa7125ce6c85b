// Proof by decoding: a text coded by the distributions that score it, and rebuilt from the code, the artifact and this program alone.
//
// compress_text() codes while it scores: windows in batches, each row's softcapped logits turned into integer frequencies
// (arithmetic_coder.h), test-time training after each chunk. decompress_text() knows a target only once it has decoded it, so a
// window grows row by row (Session::extend), or, on a device that keeps no keys, is computed whole again for each target. Both
// give the logits that scoring gives, bit for bit, because forward ops are row-invariant.
// What success proves: no distribution depended on its target or on anything after it (C1, C2), nothing was trained on before it
// was decoded (C3), one pass, each target once (C4); and the code's length is the score.
// Bites: a sampled proof codes some chunks only. Its decoder is given the other chunks' tokens, and trains on them without scoring, or
// starts from states that a ledger has kept.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "evaluator/proof_method.h"
#include "evaluator/proof_states.h"
#include "formats/proof_file.h"
#include "formats/tokenizer.h"
#include "model/checkpoint.h"
#include "model/console.h"

namespace sixteen {

struct ProofOutcome {
  int64_t targets = 0;      // coded
  int64_t chunks = 0, coded_chunks = 0;
  double nats = 0;          // of the coded targets, as scoring sums them (compress only)
  int64_t bytes = 0;        // that they stand for, where tables are given (compress only)
  double seconds = 0;
};

// K chunks drawn by `seed` (the same everywhere), ascending; all of them, as an empty list, when there are not more.
std::vector<int64_t> sample_chunks(int64_t chunks, int64_t count, uint64_t seed);

// states: where chunks may be reached without the training before them. Fills in settings, sampled, first_token, text and code. tables may be null. Needs at least two tokens.
ProofOutcome compress_text(const ProofMethod& method, Session* session, std::span<const uint16_t> tokens, const ByteTables* tables,
                           int64_t sample, uint64_t seed, const ProofStates& states, const Console& console, ProofFile* proof);

// The tokens of a proof. `given`: the text as somebody claims it to be; needed for a sampled proof only, whose coded targets are not
// looked at. whole_windows: each target from a window computed anew, as on a device that keeps no keys: the same, much slower. Throws Error when what comes out is not the text that was coded.
std::vector<uint16_t> decompress_text(const ProofFile& proof, const ProofMethod& method, Session* session,
                                      std::span<const uint16_t> given, bool whole_windows, const ProofStates& states, const Console& console, const std::string& where,
                                      ProofOutcome* outcome);

}  // namespace sixteen
