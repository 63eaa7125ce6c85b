// The golden evaluation of one PR: its little model, 5114 tokens of real text, byte tables and stored results.
#pragma once

#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "evaluator/tap_in.h"
#include "formats/file.h"
#include "formats/safetensors.h"
#include "formats/shard.h"
#include "formats/tokenizer.h"
#include "model/session.h"
#include "tests/model/golden_case.h"
#include "tests/support/shared_data.h"

namespace sixteen::testing {

struct GoldenEval {
  explicit GoldenEval(const std::string& pr = "1584")  // "726", "754", "1555"
      : json(nlohmann::json::parse(read_text_file(shared_path("oracle/eval/eval.json")))),
        results(shared_path("oracle/eval/eval.safetensors")),
        config(golden_config(json.at("config").at(pr))),
        table(std::make_shared<ParamTable>(config)),
        store(table),
        shard(shared_path("oracle/eval/" + json.at("stream").at("file").get<std::string>())),
        tokens(read_shards(shard, config.vocab)),
        tables(Tokenizer(shared_path("data/tokenizers/fineweb_1024_bpe.model")).byte_tables(config.vocab)) {
    const SafetensorsFile file(shared_path("oracle/eval/params_" + pr + ".safetensors"));
    for (const ParamSpec& spec : table->specs()) copy_as_float(file.at(spec.name), store.tensor(spec.name));
  }

  std::unique_ptr<Session> session() const {
    auto made = std::make_unique<Session>(std::shared_ptr<Device>(make_device("cpu", 2)), config, table);
    made->set_weights(store);
    return made;
  }
  int64_t targets() const { return static_cast<int64_t>(tokens.size()) - 1; }
  // An I32 tensor of the results, flat.
  std::vector<int32_t> ints(const std::string& name) const {
    const TensorView& tensor = results.at(name);
    std::vector<int32_t> values(static_cast<size_t>(tensor.numel()));
    std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    return values;
  }

  nlohmann::json json;  // eval.json
  SafetensorsFile results;
  ModelConfig config;
  std::shared_ptr<const ParamTable> table;
  ParamStore store;
  std::string shard;
  std::vector<uint16_t> tokens;
  ByteTables tables;
};

inline std::vector<float> floats_of(const TensorView& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.numel()));
  copy_as_float(tensor, values);
  return values;
}

// Tap-In's settings as eval.json names them.
inline TapInConfig golden_tap_in(const nlohmann::json& tap_in) {
  return {.enabled = true,
          .min_match = tap_in.at("min_match"),
          .max_match = tap_in.at("max_match"),
          .top_k = tap_in.at("top_k"),
          .within_weight = tap_in.at("within_w"),
          .cross_weight = tap_in.at("cross_w"),
          .cross = tap_in.at("cross"),
          .entropy_min = tap_in.at("entropy_min")};
}

}  // namespace sixteen::testing
