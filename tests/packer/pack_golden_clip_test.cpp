// Packing the little models of PR 726 and PR 754 by their rules, written as a config: the same tensors in the same types, the
// same codes and scales, and after unpacking the state dict that the originals load.
#include <gtest/gtest.h>
#include <lzma.h>

#include <algorithm>

#include "formats/file.h"
#include "formats/safetensors.h"
#include "packer/pack.h"
#include "tests/model/golden_case.h"
#include "tests/support/bytes.h"
#include "tests/support/scratch.h"
#include "tests/support/shared_data.h"

namespace sixteen {
namespace {

using testing::shared_path;

const Console kQuiet{.json = false, .quiet = true};

// As configs/pr726.toml and pr754.toml have them, with the golden artifacts' threshold of 256 elements for 65536.
const char kRules726[] = R"(
[pack]
codec = "xz"
level = 6
[[pack.rules]]
max_numel = 256
mode = "fp16"
[[pack.rules]]
match = ["tok_emb"]
mode = "int8"
quantiser = "row_quantile"
round_bf16 = true
[[pack.rules]]
match = [".mlp.", ".attn.", ".proj."]
mode = "int6"
quantiser = "clip_matrix"
[[pack.rules]]
mode = "int8"
quantiser = "row_quantile"
round_bf16 = true
)";
const char kRules754[] = R"(
[pack]
codec = "zstd"
[[pack.rules]]
match = ["attn_scale", "mlp_scale", "resid_mix", "q_gain", "vr_lambda", "attn_gate", "skip_weights", "smear"]
max_numel = 256
mode = "fp32"
[[pack.rules]]
match = ["tok_emb.weight"]
mode = "fp16"
round_bf16 = true
[[pack.rules]]
max_numel = 256
mode = "fp16"
[[pack.rules]]
class = "embedding"
mode = "int6"
quantiser = "clip_row"
round_bf16 = true
[[pack.rules]]
mode = "int6"
quantiser = "clip_row"
)";

PackConfig pack_config(const char* toml) {
  ConfigFile file = ConfigFile::parse(toml, "rules.toml");
  return read_pack_config(file.section("pack"), 2048, "rules.toml");
}

struct GoldenPack {
  explicit GoldenPack(const std::string& pr)
      : json(nlohmann::json::parse(read_text_file(shared_path("oracle/artifact/" + pr + "/artifact.json")))),
        expected(shared_path("oracle/artifact/" + pr + "/expected.safetensors")),
        config(testing::golden_config(json.at("config"))),
        table(std::make_shared<ParamTable>(config)),
        store(table) {
    const SafetensorsFile file(shared_path("oracle/eval/params_" + pr + ".safetensors"));
    for (const ParamSpec& spec : table->specs()) copy_as_float(file.at(spec.name), store.tensor(spec.name));
  }
  Artifact packed(const PackConfig& pack) const {
    return quantise_model({.config = config, .table = table, .store = store, .path = "golden"}, {}, pack, kQuiet);
  }

  nlohmann::json json;
  SafetensorsFile expected;
  ModelConfig config;
  std::shared_ptr<const ParamTable> table;
  ParamStore store;
};

template <class T>
bool same_bytes(const TensorView& tensor, const std::vector<T>& values) {
  return std::ranges::equal(tensor.bytes, std::as_bytes(std::span(values)));
}

// Codes equal in every entry: artifact.json allows isolated ties, none was met.
void expect_codes(const PackedTensor& t, const TensorView& codes, const TensorView& scales) {
  EXPECT_EQ(codes.shape, t.shape) << t.name;
  EXPECT_TRUE(same_bytes(codes, t.codes)) << t.name;
  EXPECT_TRUE(same_bytes(scales, t.scales)) << t.name;
}

void expect_plain(const PackedTensor& t, const TensorView& plain) {
  EXPECT_EQ(t.bits, 0) << t.name;
  EXPECT_EQ(plain.dtype, t.plain_dtype) << t.name;
  EXPECT_TRUE(same_bytes(plain, t.plain)) << t.name;  // scalars have shape [1] with us, [] there
}

// What the program that scores holds, by the checksums of the original's state dict.
void expect_loaded(const GoldenPack& golden, Artifact artifact, const PackConfig& pack) {
  const testing::Scratch scratch;
  const std::string path = scratch.path("m.s16");
  write_verified(&artifact, path, 0, pack, false);
  const Model model = load_model(path);
  const nlohmann::json& listed = golden.json.at("loaded_state_dict");
  EXPECT_EQ(listed.size(), golden.table->specs().size());
  for (const auto& [name, entry] : listed.items()) {
    const std::span<const float> values = model.store.tensor(name);
    std::vector<uint16_t> halves(values.size());
    std::transform(values.begin(), values.end(), halves.begin(), float_to_bf16);
    const bool bf16 = entry.at("dtype") == "bfloat16";
    for (size_t i = 0; bf16 && i < values.size(); ++i) EXPECT_EQ(bf16_to_float(halves[i]), values[i]) << name;
    const std::span<const std::byte> bytes = bf16 ? std::as_bytes(std::span(halves)) : std::as_bytes(values);
    const uint32_t crc = lzma_crc32(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), 0);
    EXPECT_EQ(crc, std::stoul(entry.at("crc32_of_bytes").get<std::string>(), nullptr, 16)) << name;
  }
}

TEST(PackGoldenClip, CodesScalesAndTypes726) {
  REQUIRE_SHARED("oracle/artifact/726/artifact.json");
  const GoldenPack golden("726");
  const PackConfig pack = pack_config(kRules726);
  const Artifact artifact = golden.packed(pack);
  size_t entries = 0;
  for (const PackedTensor& t : artifact.tensors) {
    const nlohmann::json& meta = golden.json.at("meta").at(t.name);
    entries += meta.is_string() ? 1 : 2;
    if (meta.is_string()) {
      expect_plain(t, golden.expected.at("stored." + t.name));
      continue;
    }
    EXPECT_EQ("int" + std::to_string(t.bits), meta.at("type").get<std::string>()) << t.name;
    expect_codes(t, golden.expected.at("stored." + t.name + ".q"), golden.expected.at("stored." + t.name + ".scale"));
  }
  EXPECT_EQ(entries, golden.json.at("stored_entries_in_order").size());
  expect_loaded(golden, artifact, pack);
}

TEST(PackGoldenClip, CodesScalesAndTypes754) {
  REQUIRE_SHARED("oracle/artifact/754/artifact.json");
  const GoldenPack golden("754");
  const PackConfig pack = pack_config(kRules754);
  const Artifact artifact = golden.packed(pack);
  size_t payload = 0;
  for (const PackedTensor& t : artifact.tensors) {
    payload += t.codes.size() + 2 * t.scales.size() + t.plain.size();
    if (golden.expected.find("passthrough." + t.name) != nullptr) {
      expect_plain(t, golden.expected.at("passthrough." + t.name));
      continue;
    }
    EXPECT_EQ(t.bits, 6) << t.name;
    expect_codes(t, golden.expected.at("quantized." + t.name), golden.expected.at("scales." + t.name));
  }
  EXPECT_EQ(payload, golden.json.at("stats").at("int8_payload_bytes").get<size_t>());
  expect_loaded(golden, artifact, pack);
}

}  // namespace
}  // namespace sixteen
