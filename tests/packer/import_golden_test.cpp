// The records' own artifacts, opened: every tensor bit for bit as the original loads it, codes and scales as they are, and
// the loaded model's losses.
#include <gtest/gtest.h>
#include <lzma.h>

#include <algorithm>
#include <cstring>

#include "model/score.h"
#include "packer/import.h"
#include "tests/support/golden_eval.h"

namespace sixteen {
namespace {

using testing::GoldenEval;
using testing::shared_path;

struct Case {
  const char *pr, *file;
  std::vector<std::string> sets;  // what the little models' shapes do not tell
};
const Case kCases[] = {
    {"1584", "final_model.int6.ptz", {"rope.dims=4", "rope.train_len=64", "loop.start=1", "loop.end=2", "parallel.start_layer=3"}},
    {"726", "final_model.int6.ptz", {"rope.dims=4", "xsa_last_n=2"}},
    {"754", "final_model.int6.ptz", {"rope.dims=4", "xsa_last_n=2"}},
    {"754", "payload_before_zstd.bin", {"rope.dims=4", "xsa_last_n=2"}},
};

std::string folder(const Case& c) { return std::string("oracle/artifact/") + c.pr + "/"; }

Imported import_case(const Case& c) { return import_torch(shared_path(folder(c) + c.file), {.system = "", .config_path = "", .sets = c.sets}); }

// CRC-32 of the values in the type that the original holds them in.
uint32_t crc_of(std::span<const float> values, const std::string& dtype) {
  if (dtype == "float32") return lzma_crc32(reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes(), 0);
  EXPECT_EQ(dtype, "bfloat16");
  std::vector<uint16_t> halves(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    halves[i] = float_to_bf16(values[i]);
    EXPECT_EQ(bf16_to_float(halves[i]), values[i]) << "not rounded";
  }
  return lzma_crc32(reinterpret_cast<const uint8_t*>(halves.data()), halves.size() * sizeof(uint16_t), 0);
}

void expect_loaded(const Case& c, const Model& model) {
  const auto artifact = nlohmann::json::parse(read_text_file(shared_path(folder(c) + "artifact.json")));
  const nlohmann::json& listed = artifact.at("loaded_state_dict");
  ASSERT_EQ(listed.size(), model.table->specs().size());
  for (const auto& [name, entry] : listed.items()) {
    ASSERT_NE(model.table->find(name), nullptr) << name;
    EXPECT_EQ(crc_of(model.store.tensor(name), entry.at("dtype")), std::stoul(entry.at("crc32_of_bytes").get<std::string>(), nullptr, 16))
        << name;
  }
  const SafetensorsFile expected(shared_path(folder(c) + "expected.safetensors"));
  size_t compared = 0;
  for (const TensorView& tensor : expected.tensors()) {
    if (tensor.name.rfind("loaded.", 0) != 0) continue;
    const std::vector<float> want = testing::floats_of(tensor);
    const std::span<const float> have = model.store.tensor(tensor.name.substr(7));
    ASSERT_EQ(have.size(), want.size()) << tensor.name;
    EXPECT_EQ(std::memcmp(have.data(), want.data(), have.size_bytes()), 0) << tensor.name;
    ++compared;
  }
  EXPECT_GE(compared, 20u);
}

class ImportGolden : public ::testing::TestWithParam<Case> {};
std::string name_of(const ::testing::TestParamInfo<Case>& test) {
  return test.param.pr + std::string(std::strstr(test.param.file, "payload") != nullptr ? "_zip" : "");
}

TEST_P(ImportGolden, TensorsAsTheOriginalLoadsThem) {
  REQUIRE_SHARED(folder(GetParam()) + "artifact.json");
  Imported imported = import_case(GetParam());
  EXPECT_TRUE(imported.quantised);
  expect_loaded(GetParam(), imported.model);
  // Through our own file as well.
  const Bytes file = serialise_artifact(&imported.artifact, {}, {});
  expect_loaded(GetParam(), unpack(parse_artifact(file, "again"), "again"));
}

TEST_P(ImportGolden, CodesAndScalesAsStored) {
  REQUIRE_SHARED(folder(GetParam()) + "artifact.json");
  const SafetensorsFile expected(shared_path(folder(GetParam()) + "expected.safetensors"));
  const bool clean = expected.find("quantized.blocks.0.attn.c_q.weight") != nullptr;
  size_t codes = 0, plain = 0;
  for (const PackedTensor& t : import_case(GetParam()).artifact.tensors) {
    if (t.bits == 0) {
      const TensorView& want = expected.at((clean ? "passthrough." : "stored.") + t.name);
      EXPECT_TRUE(std::ranges::equal(want.bytes, t.plain)) << t.name;
      EXPECT_EQ(want.dtype, t.plain_dtype) << t.name;
      ++plain;
    } else {
      const TensorView& q = expected.at(clean ? "quantized." + t.name : "stored." + t.name + ".q");
      const TensorView& scale = expected.at(clean ? "scales." + t.name : "stored." + t.name + ".scale");
      EXPECT_TRUE(std::ranges::equal(q.bytes, std::as_bytes(std::span(t.codes)))) << t.name;
      EXPECT_TRUE(std::ranges::equal(scale.bytes, std::as_bytes(std::span(t.scales)))) << t.name;
      EXPECT_EQ(q.shape, t.shape) << t.name;
      ++codes;
    }
  }
  EXPECT_GE(codes, 31u);
  EXPECT_GE(plain, 20u);
}

TEST_P(ImportGolden, ScoresTheSame) {
  REQUIRE_SHARED(folder(GetParam()) + "artifact.json");
  const GoldenEval golden(GetParam().pr);
  const Imported imported = import_case(GetParam());
  Session session(std::shared_ptr<Device>(make_device("cpu", 2)), imported.model.config, imported.model.table);
  session.set_weights(imported.model.store);
  const auto artifact = nlohmann::json::parse(read_text_file(shared_path(folder(GetParam()) + "artifact.json")));
  const double tolerance = artifact.at("tolerance").at("losses");
  const int64_t seq = golden.json.at("seq_len"), stride = golden.json.at("stride");
  const std::string pr = GetParam().pr;
  const Edge edge = pr == "1584" ? Edge::kExact : pr == "726" ? Edge::kTailRepeated : Edge::kFullOnly;
  for (const auto& [name, losses] : artifact.at("loaded_model_fp32").items()) {
    const std::vector<Window> windows = name == "plain" ? plain_windows(golden.targets(), seq, true)
                                                        : sliding_windows(golden.targets(), seq, stride, true, edge);
    const ScoreSum sum = score_windows(&session, golden.tokens, windows, &golden.tables, {}, nullptr, nullptr);
    EXPECT_NEAR(sum.loss(), losses.at("val_loss").get<double>(), tolerance) << name;
    EXPECT_NEAR(sum.bpb(), losses.at("val_bpb").get<double>(), tolerance) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Artifacts, ImportGolden, ::testing::ValuesIn(kCases), name_of);

}  // namespace
}  // namespace sixteen
