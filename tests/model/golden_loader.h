// The loaders' golden data: windows and tokens that the original programs read (oracle/loader).
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/file.h"
#include "formats/safetensors.h"
#include "tests/support/shared_data.h"

namespace sixteen::testing {

class GoldenLoader {
 public:
  static constexpr const char* kFile = "oracle/loader/loader.safetensors";

  template <class T>
  std::vector<T> values(const std::string& name) const {
    const TensorView& tensor = file_.at(name);
    std::vector<T> result(tensor.numel());
    EXPECT_EQ(tensor.bytes.size(), result.size() * sizeof(T)) << name;
    std::memcpy(result.data(), tensor.bytes.data(), tensor.bytes.size());
    return result;
  }

  // The cases whose name starts so.
  std::map<std::string, nlohmann::json> cases(const std::string& prefix) const {
    std::map<std::string, nlohmann::json> found;
    for (const auto& [name, c] : json_["cases"].items()) {
      if (name.starts_with(prefix)) found[name] = c;
    }
    EXPECT_FALSE(found.empty()) << prefix;
    return found;
  }

  std::vector<int64_t> shard_tokens() const { return json_["shards"]["tokens"]; }
  static std::string folder() { return shared_path("oracle/loader/data"); }
  static constexpr int64_t kVocab = 60013;
  // The content that loader.json promises.
  static int32_t token(int64_t shard, int64_t i) {
    return static_cast<int32_t>((31 * i + 977 * shard + i / 7 * (shard + 3)) % kVocab);
  }

 private:
  SafetensorsFile file_{shared_path(kFile)};
  nlohmann::json json_ = nlohmann::json::parse(read_text_file(shared_path("oracle/loader/loader.json")));
};

}  // namespace sixteen::testing
