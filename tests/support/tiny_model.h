// A model small enough for any test, with everything on: loop, two lanes, gated skips, XSA; no tensor is zero.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/params.h"
#include "model/session.h"

namespace sixteen::testing {

inline ModelConfig tiny_config(int64_t vocab = 96) {
  ModelConfig config;
  config.vocab = vocab;
  config.layers = 4;
  config.dim = 32;
  config.heads = 2;
  config.kv_heads = 1;
  config.mlp_hidden = 48;
  config.rope = {8, 10000, 32, true};
  config.xsa_last_n = 4;
  config.loop = {1, 2, 1, 0.35};
  config.parallel.kind = "two_lane";
  config.parallel.start_layer = 3;
  config.embed_init_std = 0.3;
  return config;
}

// Noise in (-1, 1) that depends on `i` alone.
inline float noise(uint64_t i) {
  i = (i + 1) * 0x9E3779B97F4A7C15;
  i = (i ^ i >> 31) * 0xD6E8FEB86659FD93;
  return static_cast<float>(static_cast<int64_t>(i)) * 0x1p-63f;
}

inline ParamStore tiny_store(const ModelConfig& config, uint64_t seed = 3) {
  ParamStore store(std::make_shared<const ParamTable>(config));
  initialise(config, seed, &store);
  for (const ParamSpec& spec : store.table->specs()) {
    for (float& value : store.tensor(spec.name))
      value += 0.1f * noise(static_cast<uint64_t>(&value - store.flat.data()));
  }
  return store;
}

// Text that repeats itself, so that training on it helps.
inline std::vector<uint16_t> tiny_tokens(int64_t count, int64_t vocab = 96, uint64_t seed = 1) {
  std::vector<uint16_t> tokens(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t place = i % 3 == 0 ? static_cast<uint64_t>(i) : static_cast<uint64_t>(i % 41);
    tokens[static_cast<size_t>(i)] =
        static_cast<uint16_t>((noise(seed * 1000003 + place) + 1) / 2 * static_cast<float>(vocab - 1));
  }
  return tokens;
}

}  // namespace sixteen::testing
