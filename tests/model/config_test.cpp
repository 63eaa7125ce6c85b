// The model config: canonical JSON, strict readers, the record's file, layer orders and what is refused.
#include "model/config.h"

#include <gtest/gtest.h>

#include "model/params.h"
#include "model/transformer.h"
#include "tests/support/bytes.h"

namespace sixteen {
namespace {

using testing::expect_error;

ModelConfig from_toml(const std::string& text) {
  ConfigFile file = ConfigFile::parse(text, "test.toml");
  return read_model_config(file.section("model"), "test.toml");
}

ModelConfig record() {
  ConfigFile file(std::string(SIXTEEN_SOURCE_DIR) + "/configs/pr1584.toml");
  return read_model_config(file.section("model"), "pr1584.toml");
}

const char* const kRecordJson =
    R"({"vocab":8192,"layers":11,"dim":512,"heads":8,"kv_heads":4,"mlp_hidden":2048,"mlp_slope":0.5,)"
    R"("rope":{"dims":16,"base":10000.0,"train_len":2048,"round_bf16":true},)"
    R"("qk_gain_init":5.0,"ln_scale":true,"softcap":30.0,"tied_head":true,"xsa_last_n":11,"skip":"gated",)"
    R"("bigram":{"rows":0,"dim":128},"smear":false,"value_embedding":{"dim":0,"layers":[]},)"
    R"("value_residual":false,"gated_attention":false,)"
    R"("loop":{"start":3,"end":5,"extra_passes":2,"at_frac":0.35,"pass_embedding":false},)"
    R"("parallel":{"kind":"two_lane","start_layer":8,"start_is_physical":true,"final_lane":"mean",)"
    R"("skip_lane0_only":true,"mlp_read_mix":false,"freeze_lane0":false,"resid_init":1.1},)"
    R"("embed_init_std":0.005,"init_round_bf16":true})";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Config, RecordAsCanonicalJson) { EXPECT_EQ(to_json(record()), kRecordJson); }

TEST(Config, JsonRoundTripAndKeyOrderDoNotMatter) {
  EXPECT_EQ(to_json(parse_model_json(kRecordJson, "test")), kRecordJson);
  const std::string moved = replaced(replaced(kRecordJson, "\"vocab\":8192,", ""), "\"init_round_bf16\":true",
                                     "\"init_round_bf16\":true,\"vocab\":8192");
  EXPECT_EQ(to_json(parse_model_json(moved, "test")), kRecordJson);
  EXPECT_EQ(to_json(parse_model_json(replaced(kRecordJson, "10000.0", "10000"), "test")), kRecordJson);
}

TEST(Config, JsonIsStrict) {
  const auto refuse = [](const std::string& from, const std::string& to, const std::string& message) {
    expect_error(message, [&] { parse_model_json(replaced(kRecordJson, from, to), "m.safetensors"); });
  };
  refuse("\"layers\":11,", "", "m.safetensors: model config: key layers is missing");
  refuse("\"dims\":16,", "", "key rope.dims is missing");
  refuse("\"layers\":11", "\"layers\":11,\"layres\":11", "unknown key layres (did you mean layers?)");
  refuse("\"at_frac\":0.35", "\"at_frac\":0.35,\"att_frac\":1",
         "unknown key loop.att_frac (did you mean loop.at_frac?)");
  refuse("\"layers\":11", "\"layers\":11.5", "layers: expected an integer, found 11.5");
  refuse("\"layers\":11", "\"layers\":18446744073709551615", "layers: expected an integer");
  refuse("\"softcap\":30.0", "\"softcap\":\"30\"", "softcap: expected a number, found \"30\"");
  refuse("\"ln_scale\":true", "\"ln_scale\":1", "ln_scale: expected true or false, found 1");
  refuse("\"skip\":\"gated\"", "\"skip\":null", "skip: expected a string, found null");
  refuse("{\"start\":3,\"end\":5,\"extra_passes\":2,\"at_frac\":0.35,\"pass_embedding\":false}", "[]", "loop: expected an object, found []");
}

TEST(Config, FilesOlderThanAFieldMeanItsDefault) {
  std::string old = kRecordJson;
  for (const char* part : {"\"tied_head\":true,", "\"bigram\":{\"rows\":0,\"dim\":128},", "\"smear\":false,",
                           "\"value_embedding\":{\"dim\":0,\"layers\":[]},", "\"value_residual\":false,",
                           "\"gated_attention\":false,", ",\"pass_embedding\":false"}) {
    old = replaced(old, part, "");
  }
  EXPECT_EQ(to_json(parse_model_json(old, "test")), kRecordJson);
}

TEST(Config, TomlNamesTheNearestKey) {
  expect_error("did you mean model.layers?", [] { from_toml("[model]\nlayer = 3\n"); });
  expect_error("did you mean model.loop.extra_passes?", [] { from_toml("[model.loop]\nextra_pases = 3\n"); });
  EXPECT_EQ(to_json(from_toml("")), to_json(ModelConfig()));
}

TEST(Config, LayerOrdersOfTheRecord) {
  using Layers = std::vector<int64_t>;
  const ModelConfig config = record();
  const LayerOrder on = layer_order(config, true), off = layer_order(config, false);
  EXPECT_EQ(on.encoder, (Layers{0, 1, 2, 3, 4, 5, 3, 4}));
  EXPECT_EQ(on.decoder, (Layers{5, 3, 4, 5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(off.encoder, (Layers{0, 1, 2, 3, 4}));
  EXPECT_EQ(off.decoder, (Layers{5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(skip_count(config), 8);
}

TEST(Config, RefusesWhatDoesNotFit) {
  const auto refuse = [](const std::string& toml, const std::string& message) {
    expect_error(message, [&] { from_toml("[model]\n" + toml); });
  };
  refuse("vocab = 1", "vocab: expected an integer in 2 .. 65536, found 1");
  refuse("layers = 0", "layers: expected an integer in 1 .. 256, found 0");
  refuse("dim = 513", "heads: expected a divisor of dim = 513, found 8");
  refuse("kv_heads = 3", "kv_heads: expected a divisor of heads = 8, found 3");
  refuse("rope.dims = 15", "rope.dims: expected an even number, found 15");
  refuse("rope.dims = 66", "rope.dims: expected an integer in 4 .. 64, found 66");
  refuse("softcap = nan", "softcap");
  refuse("xsa_last_n = 12", "xsa_last_n: expected an integer in 0 .. 11, found 12");
  refuse("skip = \"gate\"", "skip: expected one of none, additive, gated, found \"gate\"");
  refuse("loop = {start = 5, end = 4, extra_passes = 1}", "loop.end: expected an integer in 5 .. 10, found 4");
  refuse("loop = {pass_embedding = true}", "loop.pass_embedding: expected loop.extra_passes of 1 or more, found true");
  refuse("bigram = {rows = 1}", "bigram.rows: expected 0 (none) or 2 and more");
  refuse("bigram = {rows = 64, dim = 0}", "bigram.dim: expected an integer in 1 .. 16384, found 0");
  refuse("value_embedding = {dim = 8}", "value_embedding.layers: expected the layers that read it");
  refuse("value_embedding = {layers = [3]}", "value_embedding.layers: expected none, since value_embedding.dim is 0");
  refuse("value_embedding = {dim = 8, layers = [3, 11]}", "value_embedding.layers: expected an integer in 4 .. 10, found 11");
  refuse("value_embedding = {dim = 8, layers = [3, 3]}", "value_embedding.layers: expected an integer in 4 .. 10, found 3");
  refuse("layers = 1\nxsa_last_n = 1\nvalue_residual = true", "value_residual: expected 2 layers or more");
  refuse("parallel = {kind = \"two_lane\", start_layer = 4}",
         "parallel.start_layer: expected a layer after the encoder's last, 4");
  refuse("parallel = {kind = \"two_lane\", start_layer = 11}",
         "parallel.start_layer: expected an integer in 0 .. 10, found 11");
  refuse("loop = {start = 6, end = 8, extra_passes = 1}\nparallel = {kind = \"two_lane\", start_layer = 7}",
         "parallel.start_layer");
  refuse("parallel = {kind = \"two_lane\", start_layer = 4, start_is_physical = false}",
         "parallel.start_layer: expected a position in the decoder, 5 or more, found 4");
}

TEST(Config, FlopsAsTheFieldCounts) {
  const ModelConfig config = record();
  // 6 x 35,913,728 matrix parameters + 11 layers x 12 x 1024 x 512 (sota.md 4.1); looped layers count at every visit.
  EXPECT_DOUBLE_EQ(train_flops_per_token(config, 2048, false), 6.0 * 35913728 + 11 * 12.0 * 1024 * 512);
  EXPECT_DOUBLE_EQ(train_flops_per_token(config, 2048, true), 6.0 * (35913728 + 6 * 2883584) + 17 * 12.0 * 1024 * 512);
}

}  // namespace
}  // namespace sixteen
