// State dicts of little models of every system, written as their scripts save them, and dictionaries that do not fit.
#include "packer/import.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"
#include "tests/support/torch_writer.h"

namespace sixteen {
namespace {

using testing::ByteVector;
using testing::bytes_of;
using testing::expect_error;
using testing::Scratch;
using testing::TorchWriter;

const char* const kSystems[] = {"pr726", "pr754", "pr754-first", "pr1555", "pr1584"};

// A published model made small, and what must be said about it since shapes do not tell.
struct Little {
  explicit Little(const std::string& system_in) : system(system_in), config(published_model(system)) {
    config.vocab = 96;
    config.layers = 6;
    config.dim = 32;
    config.heads = 4;
    config.kv_heads = 2;
    config.mlp_hidden = 48;
    config.rope.dims = 4;
    config.xsa_last_n = 3;
    sets = {"rope.dims=4", "xsa_last_n=3"};
    if (config.bigram.rows > 0) config.bigram = {50, 8};
    if (config.value_embedding.dim > 0) config.value_embedding = {8, {4, 5}};
    if (config.parallel.kind != "none") {
      config.loop.start = 1;
      config.loop.end = 2;
      config.parallel.start_layer = 4;
      sets.insert(sets.end(), {"loop.start=1", "loop.end=2", "parallel.start_layer=4"});
    }
    validate(config, system);
  }
  ImportSettings settings() const { return {.system = system, .config_path = "", .sets = sets}; }

  std::string system;
  ModelConfig config;
  std::vector<std::string> sets;
};

bool is_table(const std::string& name) { return name.find("emb") != std::string::npos; }  // bf16 in the records

ParamStore store_of(const ModelConfig& config) {
  ParamStore store = testing::tiny_store(config);
  for (const ParamSpec& spec : store.table->specs()) {
    if (!is_table(spec.name)) continue;
    for (float& value : store.tensor(spec.name)) value = round_to_bf16(value);
  }
  return store;
}

void write_tensor(TorchWriter* w, const std::string& name, std::vector<int64_t> shape, std::span<const float> values) {
  if (name == "bigram.scale" || name == "ve_shared.scale") shape.clear();
  if (!is_table(name)) return w->floats(name, shape, {values.begin(), values.end()});
  std::vector<uint16_t> halves;
  for (const float value : values) halves.push_back(float_to_bf16(value));
  w->pickle().text(name);
  w->tensor("BFloat16Storage", shape, bytes_of(halves), sizeof(uint16_t));
}

// The matrices `first` of all layers, then `second`, as one tensor.
void write_bank(TorchWriter* w, const ParamStore& store, const std::string& name, const std::vector<std::string>& parts, int64_t layers) {
  std::vector<float> values;
  Shape shape;
  for (const std::string& part : parts) {
    for (int64_t i = 0; i < layers; ++i) {
      const std::string matrix = "blocks." + std::to_string(i) + "." + part;
      const std::span<const float> m = store.tensor(matrix);
      values.insert(values.end(), m.begin(), m.end());
      shape = store.table->at(matrix).shape;
    }
  }
  w->floats(name, {layers * static_cast<int64_t>(parts.size()), shape[0], shape[1]}, values);
}

ByteVector state_dict(const ParamStore& store, int64_t layers, bool banked, const std::string& prefix = "") {
  TorchWriter w;
  w.pickle().begin_dict();
  if (banked) {
    write_bank(&w, store, prefix + "qo_bank", {"attn.c_q.weight", "attn.proj.weight"}, layers);
    write_bank(&w, store, prefix + "kv_bank", {"attn.c_k.weight", "attn.c_v.weight"}, layers);
    write_bank(&w, store, prefix + "mlp_up_bank", {"mlp.fc.weight"}, layers);
    write_bank(&w, store, prefix + "mlp_down_bank", {"mlp.proj.weight"}, layers);
  }
  for (const ParamSpec& spec : store.table->specs()) {
    if (!banked || spec.group != ParamGroup::kMatrix || spec.name == "loop_pass_emb.weight") {
      write_tensor(&w, prefix + spec.name, dims(spec.shape), store.tensor(spec.name));
    }
  }
  w.pickle().end_dict();
  return w.file();
}

class ImportSystems : public ::testing::TestWithParam<const char*> {};

TEST_P(ImportSystems, StateDictsBankedOrNot) {
  const Scratch scratch;
  const Little little(GetParam());
  const ParamStore store = store_of(little.config);
  const auto check = [&](const ByteVector& file, const ImportSettings& settings) {
    const Imported imported = import_torch(scratch.write("x.pt", file), settings);
    EXPECT_FALSE(imported.quantised);
    EXPECT_EQ(to_json(imported.model.config), to_json(little.config));
    EXPECT_EQ(imported.model.store.flat, store.flat);
    EXPECT_NE(imported.settled.assumed.find("rope.base = 10000"), std::string::npos) << imported.settled.assumed;
    EXPECT_EQ(imported.settled.assumed.find("rope.dims"), std::string::npos) << imported.settled.assumed;
  };
  check(state_dict(store, 6, false), little.settings());
  check(state_dict(store, 6, true), little.settings());
  check(encode(Codec::kZstd, 3, state_dict(store, 6, true, "module._orig_mod.")), little.settings());
  if (little.system == "pr754-first") return;  // as pr754 from outside
  check(state_dict(store, 6, true), {.system = "", .config_path = "", .sets = little.sets});  // guessed
}
INSTANTIATE_TEST_SUITE_P(All, ImportSystems, ::testing::ValuesIn(kSystems), [](const auto& test) {
  std::string name = test.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(ImportConfig, PublishedModelsAreTheConfigs) {
  for (const std::string system : kSystems) {
    const std::string path = std::string(SIXTEEN_SOURCE_DIR) + "/configs/" + system + ".toml";
    EXPECT_EQ(to_json(published_model(system)), to_json(read_model_config(ConfigFile(path).section("model"), path))) << system;
  }
  const auto parameters = [](const char* system) { return ParamTable(published_model(system)).parameters(); };
  EXPECT_EQ(parameters("pr1584"), 35'944'602);  // as published
  EXPECT_EQ(parameters("pr726"), 26'993'756);
  EXPECT_EQ(parameters("pr754"), 26'809'543);
  EXPECT_EQ(parameters("pr754-first"), 26'809'543);
  EXPECT_EQ(parameters("pr1555"), 35'946'138);
  expect_error("--system pr9: expected one of pr726, pr754", [] { published_model("pr9"); });
}

TEST(ImportConfig, SettingsMustFit) {
  const Scratch scratch;
  const Little little("pr1584");
  const std::string path = scratch.write("x.pt", state_dict(store_of(little.config), 6, true));
  const auto refused = [&](const std::string& part, const ImportSettings& settings) {
    expect_error(part, [&] { import_torch(path, settings); });
  };
  refused("tensors with skip gates and lanes, so no model of pr726", {.system = "pr726", .config_path = "", .sets = {}});
  refused("rope.dims: expected an integer in 4 .. 8, found 16", {});
  const std::string config = std::string(SIXTEEN_SOURCE_DIR) + "/configs/pr1584.toml";
  refused("x.pt with " + config + ": tensor blocks.0.attn.c_q.weight: the config asks for shape [512, 512], found [32, 32]",
          {.system = "", .config_path = config, .sets = {}});
  const auto with = [&](const std::string& set) {
    ImportSettings settings = little.settings();
    settings.sets.push_back(set);
    return settings;
  };
  refused("unknown key rope.dim (did you mean rope.dims?)", with("rope.dim=8"));
  refused("expected KEY=VALUE", with("rope.dims"));
  refused("unknown key rope", with("rope=3"));
  refused("rope.dims", with("rope.dims=many"));
  refused("tensor skip_weights: the config asks for shape [", with("loop.extra_passes=0"));
  const Imported said = import_torch(path, with("parallel.final_lane=mlp"));
  EXPECT_EQ(said.model.config.parallel.final_lane, "mlp");
}

TEST(Import, TensorsMustBeThoseOfTheModel) {
  const Scratch scratch;
  const Little little("pr726");
  const ParamStore store = store_of(little.config);
  // Writes all tensors, changed by `edit` (shape, values), but those it returns false for.
  const auto refused = [&](const std::string& part, const auto& edit, const auto& more) {
    TorchWriter w;
    w.pickle().begin_dict();
    for (const ParamSpec& spec : store.table->specs()) {
      std::vector<int64_t> shape = dims(spec.shape);
      std::vector<float> values(store.tensor(spec.name).begin(), store.tensor(spec.name).end());
      if (edit(spec.name, &shape, &values)) write_tensor(&w, spec.name, shape, values);
    }
    more(&w);
    w.pickle().end_dict();
    const std::string path = scratch.write("x.pt", w.file());
    expect_error(path, [&] { import_torch(path, little.settings()); });
    expect_error(part, [&] { import_torch(path, little.settings()); });
  };
  using Shapes = std::vector<int64_t>;
  using Values = std::vector<float>;
  const auto all = [](const std::string&, Shapes*, Values*) { return true; };
  const auto none = [](TorchWriter*) {};
  for (const std::string gone : {"smear.gate", "bigram.proj.weight", "blocks.3.attn.proj.weight", "ve_layer_scales.1", "tok_emb.weight",
                                 "blocks.5.attn.c_q.weight"}) {
    refused(gone, [&](const std::string& n, Shapes*, Values*) { return n != gone; }, none);
  }
  refused("tensor skip_weights: the config asks for shape [3, 32], found [4, 24]", [](const std::string& n, Shapes* shape, Values*) {
    if (n == "skip_weights") *shape = {4, 24};
    return true;
  }, none);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    refused("tensor blocks.2.mlp.proj.weight: element 7 is", [&](const std::string& n, Shapes*, Values* values) {
      if (n == "blocks.2.mlp.proj.weight") values->at(7) = bad;
      return true;
    }, none);
  }
  refused("tensor blocks.0.attn.vr_lambda is not part of the model", all, [](TorchWriter* w) { w->floats("blocks.0.attn.vr_lambda", {2}, {1, 2}); });
  refused("tensor smear.gate is there twice", all, [](TorchWriter* w) { w->floats("module.smear.gate", {32}, Values(32, 0.5f)); });
  refused("key smear.gate is there twice", all, [](TorchWriter* w) { w->floats("smear.gate", {32}, Values(32, 0.5f)); });
  refused("tensor epoch: expected a tensor, found the int 3", all, [](TorchWriter* w) { w->pickle().text("epoch").integer(3); });
  refused("expected strings as keys, found the int 3", all, [](TorchWriter* w) { w->pickle().integer(3).integer(3); });
  refused("tensor extra: expected F32, F16 or BF16, found F64", all, [](TorchWriter* w) {
    w->pickle().text("extra");
    w->tensor("DoubleStorage", {1}, ByteVector(8), 8);
  });
  refused("qo_bank: expected 3 dimensions, the first even, found 3, the first 3", all,
          [](TorchWriter* w) { w->floats("qo_bank", {3, 1, 1}, {1, 2, 3}); });
}

// {"w": ..., "m": ...} of one matrix and one plain tensor, with all that can be wrong in it.
struct Packed {
  int8_t code = 31;
  std::string meta = "gptq (int6)", scale_type = "HalfStorage", extra = "";
  bool scale = true, plain = true;
  int64_t scales = 2;

  ByteVector file() const {
    TorchWriter w;
    w.pickle().begin_dict().text("w").begin_dict().text("a.q");
    w.tensor("CharStorage", {2, 3}, bytes_of(std::vector<int8_t>{1, -2, code, 0, 5, -31}), 1);
    if (scale) {
      w.pickle().text("a.scale");
      w.tensor(scale_type, {scales}, bytes_of(std::vector<uint16_t>(static_cast<size_t>(scales), 0x3800)), 2);
    }
    if (plain) w.floats("b", {2}, {1, 2});
    if (!extra.empty()) w.floats(extra, {1}, {1});
    w.pickle().end_dict().text("m").begin_dict().text("a").text(meta).text("b").text("passthrough").end_dict().end_dict();
    return w.file();
  }
};

TEST(Import, QuantisedDictionaries) {
  const auto read = [](const Packed& packed) { return read_torch_tensors(TorchFile(packed.file(), "x.ptz")); };
  const ImportedTensors good = read({});
  ASSERT_TRUE(good.quantised && good.find("a") != nullptr && good.find("b") != nullptr);
  EXPECT_EQ(good.find("a")->dequantise(), (std::vector<float>{0.5f, -1, 15.5f, 0, 2.5f, -15.5f}));
  const auto refused = [&](const std::string& part, const Packed& packed) { expect_error(part, [&] { read(packed); }); };
  refused("meta of a: expected passthrough or int2 to int8 codes, found the string \"gptq (int9)\"", {.meta = "gptq (int9)"});
  refused("meta of a: expected passthrough", {.meta = ""});
  refused("tensor a: code 2: expected -31 to 31, found 32", {.code = 32});
  refused("tensor a: code 2: expected -31 to 31, found -128", {.code = -128});
  refused("tensor a: expected one F16 scale for each of 2 rows, found 2 of I16", {.scale_type = "ShortStorage"});
  refused("tensor a: expected one F16 scale for each of 2 rows, found 3", {.scales = 3});
  refused("w: a.scale is missing", {.scale = false});
  refused("w: b is missing", {.plain = false});
  refused("w: 4 entries, but the others describe 3", {.extra = "c"});
}

TEST(Import, CleanDictionariesAreOfTheKnownFormat) {
  TorchWriter w;
  w.pickle().begin_dict().text("__quant_format__").text("int4_v9").end_dict();
  expect_error("__quant_format__: expected \"int8_clean_per_row_v1\", found the string \"int4_v9\"",
               [&] { read_torch_tensors(TorchFile(w.file(), "x.ptz")); });
}

// A view of a storage may be as large as the storage; a thousand of them may not.
TEST(Import, SharedStoragesDoNotAddUpWithoutEnd) {
  testing::PickleWriter pickle;
  pickle.begin_dict();
  const int64_t elements = 1 << 20;
  for (int i = 0; i < 200; ++i) pickle.text(std::to_string(i)).tensor("FloatStorage", "0", elements, {elements}, {1});
  pickle.end_dict();
  const ByteVector file = testing::torch_zip(pickle.finish(), {ByteVector(static_cast<size_t>(elements) * sizeof(float))});
  expect_error("tensors of more than 536870912 bytes in all", [&] { read_torch_tensors(TorchFile(file, "x.pt")); });
}

}  // namespace
}  // namespace sixteen
