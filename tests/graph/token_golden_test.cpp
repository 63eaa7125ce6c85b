// The indices of hashed token pairs against the originals' (oracle/model/hash_vectors): BigramHash and the evaluation-time hash.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "formats/file.h"
#include "graph/builder.h"
#include "graph/executor.h"
#include "graph/plan.h"
#include "tests/support/shared_data.h"

namespace sixteen {
namespace {

template <class Hash>
std::vector<int32_t> indices(std::vector<int32_t> ids, Hash hash) {
  Builder b;
  const int64_t count = static_cast<int64_t>(ids.size());
  const ValueId input = b.input_ids("ids", {count}), index = hash(b, input, count);
  b.mark_output(index);
  const Graph graph = b.finish();
  const Plan plan = plan_memory(graph);
  const auto device = make_device("cpu", 1);
  const auto executor = device->compile(graph, plan, device->allocate(plan.arena_bytes));
  executor->bind(input, ids.data());
  executor->run();
  const int32_t* found = static_cast<const int32_t*>(executor->data(index));
  return {found, found + count};
}

TEST(TokenGolden, HashVectors) {
  REQUIRE_SHARED("oracle/model/hash_vectors.json");
  const nlohmann::json vectors = nlohmann::json::parse(read_text_file(testing::shared_path("oracle/model/hash_vectors.json")));
  using Ids = std::vector<int32_t>;
  for (const nlohmann::json& v : vectors.at("bigram")) {
    const int64_t rows = v.at("rows");
    const auto pairs = [&](Builder& b, ValueId ids, int64_t seq) { return b.pair_hash(ids, rows, seq); };
    EXPECT_EQ(indices(v.at("ids").get<Ids>(), pairs), v.at("index").get<Ids>()) << rows;
  }
  for (const nlohmann::json& v : vectors.at("eval_hash")) {
    for (const bool own : {false, true}) {
      const auto hash = [&](Builder& b, ValueId ids, int64_t seq) {
        return b.bigram_hash(ids, v.at("rows"), v.at("multiplier"), seq, own);
      };
      EXPECT_EQ(indices(v.at("ids").get<Ids>(), hash), v.at(own ? "index_1555" : "index_1584").get<Ids>());
    }
  }
}

// Spec 3.2 of the two older systems: (previous, current) -> index, and products that wrap in 32 bits.
TEST(TokenGolden, PairHashOfTheSpec) {
  const auto pair = [](int32_t previous, int32_t current, int64_t rows) {
    const auto hash = [&](Builder& b, ValueId ids, int64_t seq) { return b.pair_hash(ids, rows, seq); };
    return indices({previous, current}, hash)[1];
  };
  EXPECT_EQ(pair(1, 2, 2048), 435);
  EXPECT_EQ(pair(1023, 1023, 2048), 977);
  EXPECT_EQ(pair(512, 3, 1536), 306);
  EXPECT_EQ(pair(0, 60000, 2048), (int64_t{36313} * 60000 - (int64_t{1} << 32)) % 2047 + 2047);
}

}  // namespace
}  // namespace sixteen
