// What a .s16z file says about how its text was scored: numbered settings and the ScoreMethod that they stand for.
//
// Only what differs from the default is written. Defaults, like numbers, belong to the file's version and must never change:
// they are those of ScoreMethod with the model's training length as window, sliding windows, portable arithmetic.
#pragma once

#include <string>
#include <vector>

#include "evaluator/score_run.h"
#include "formats/proof_file.h"

namespace sixteen {

enum class Arith : uint8_t {
  kPortable,  // fp32 chains of fma in one order: the same bits on any machine
  kNative,    // whatever the device scores with: the same bits on a machine of its kind
};

struct ProofMethod {
  ScoreMethod score;
  Arith arith = Arith::kPortable;
};

// Every target coded once, in order: the edge rules and the dropped tail that exist for parity are put aside; says in a line what
// was, or nothing. Throws Error for what cannot be decoded (Tap-In).
std::string make_decodable(ScoreMethod* method);

std::vector<ProofSetting> proof_settings(const ProofMethod& method, const ModelConfig& model);

// The inverse, validated. Throws Error naming `where` for settings that are unknown or out of range.
ProofMethod proof_method(const std::vector<ProofSetting>& settings, const ModelConfig& model, const std::string& where);

}  // namespace sixteen
