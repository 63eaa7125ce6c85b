// What is wrong with the card, in one line; free of CUDA's headers so that every build tests it.
#pragma once

#include <string>

namespace sixteen::cuda {

constexpr int kLowestMajor = 8;  // sm_80: bf16 mma and cp.async

// Versions as CUDA counts them: 13000 is 13.0.
struct CardFacts {
  int driver = 0;   // the highest CUDA version that the driver serves; 0: no driver
  int runtime = 0;  // what this build needs
  int cards = 0;    // visible ones
  std::string name{};
  int major = 0, minor = 0;  // compute capability of the first
};

// "" when the card can be used.
inline std::string card_refusal(const CardFacts& facts) {
  const auto version = [](int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); };
  if (facts.driver == 0) return "--device cuda: no NVIDIA driver on this machine; install one, or use --device cpu";
  if (facts.driver / 1000 < facts.runtime / 1000) {  // drivers serve every minor version of their major one
    return "--device cuda: the driver serves CUDA " + version(facts.driver) + ", this build needs " + version(facts.runtime) +
           "; update the driver, or use --device cpu";
  }
  if (facts.cards == 0) return "--device cuda: no CUDA card is visible (see CUDA_VISIBLE_DEVICES); use --device cpu";
  if (facts.major < kLowestMajor) {
    return "--device cuda: " + facts.name + " is sm_" + std::to_string(facts.major) + std::to_string(facts.minor) +
           "; sm_80 or newer is needed; use --device cpu";
  }
  return "";
}

}  // namespace sixteen::cuda
