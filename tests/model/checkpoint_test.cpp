// Checkpoints: a round trip, and one clear line for everything that can be wrong with one.
#include "model/checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "formats/error.h"
#include "formats/file.h"
#include "formats/safetensors.h"
#include "tests/support/scratch.h"

namespace sixteen {
namespace {

ModelConfig small_config() {
  ModelConfig config;
  config.vocab = 48;
  config.layers = 2;
  config.dim = 16;
  config.heads = 2;
  config.kv_heads = 1;
  config.mlp_hidden = 32;
  config.rope.dims = 4;
  config.xsa_last_n = 2;
  return config;
}

ParamStore small_store(const ModelConfig& config) {
  ParamStore store(std::make_shared<const ParamTable>(config));
  int64_t i = 0;
  for (const ParamSpec& spec : store.table->specs()) {
    for (float& value : store.tensor(spec.name)) value = std::sin(static_cast<float>(++i)) * 0.3f;
  }
  return store;
}

class Checkpoint : public ::testing::Test {
 protected:
  // The valid file's tensors and metadata, changed by `edit`, written to path_.
  template <class Edit>
  void write_edited(Edit edit) {
    save_checkpoint(path_, config_, store_);
    {
      const SafetensorsFile file(path_);
      std::vector<TensorView> tensors = file.tensors();
      std::map<std::string, std::string> metadata = file.metadata();
      metadata.erase("sha256");  // as another program would leave it: the checks behind the hash are meant
      edit(tensors, metadata);
      write_safetensors(path_ + ".new", tensors, metadata);
    }
    std::filesystem::rename(path_ + ".new", path_);
  }

  // Loading fails with one line that has the path and every part.
  void expect_error(const std::vector<std::string>& parts) {
    try {
      load_model(path_);
      FAIL() << "loaded";
    } catch (const Error& error) {
      const std::string line = error.what();
      EXPECT_NE(line.find(path_), std::string::npos) << line;
      EXPECT_EQ(line.find('\n'), std::string::npos) << line;
      for (const std::string& part : parts)
        EXPECT_NE(line.find(part), std::string::npos) << line << "\nlacks: " << part;
    }
  }

  const ModelConfig config_ = small_config();
  ParamStore store_ = small_store(config_);
  const testing::Scratch scratch_;
  const std::string path_ = scratch_.path("m.safetensors");
};

TEST_F(Checkpoint, RoundTrip) {
  save_checkpoint(path_, config_, store_, {{"producer", "test"}});
  const Model model = load_model(path_);
  EXPECT_EQ(model.store.flat, store_.flat);
  EXPECT_EQ(to_json(model.config), to_json(config_));
  EXPECT_FALSE(model.packed);
  EXPECT_EQ(model.file_bytes, std::filesystem::file_size(path_));
  const MappedFile bytes(path_);
  EXPECT_EQ(to_hex(model.digest), to_hex(sha256(bytes.bytes())));
  EXPECT_EQ(SafetensorsFile(path_).metadata().at("producer"), "test");
  save_checkpoint(scratch_.path("again"), model.config, model.store, {{"producer", "test"}});
  EXPECT_EQ(read_text_file(scratch_.path("again")), read_text_file(path_));
}

TEST_F(Checkpoint, ReadsBf16) {
  const std::vector<uint16_t> half(16, float_to_bf16(1.25f));
  write_edited([&](auto& tensors, auto&) {
    for (TensorView& tensor : tensors) {
      if (tensor.name == "blocks.1.mlp_scale") {
        tensor.dtype = DType::kBF16;
        tensor.bytes = std::as_bytes(std::span(half));
      }
    }
  });
  const Model model = load_model(path_);
  for (const float value : model.store.tensor("blocks.1.mlp_scale")) EXPECT_EQ(value, 1.25f);
}

TEST_F(Checkpoint, MissingTensor) {
  write_edited(
      [](auto& tensors, auto&) { std::erase_if(tensors, [](auto& t) { return t.name == "blocks.1.attn.q_gain"; }); });
  expect_error({"blocks.1.attn.q_gain", "missing"});
}

TEST_F(Checkpoint, ExtraTensor) {
  const float value = 1;
  write_edited([&](auto& tensors, auto&) {
    tensors.push_back({.name = "blocks.9.mlp_scale", .shape = {1}, .bytes = std::as_bytes(std::span(&value, 1))});
  });
  expect_error({"blocks.9.mlp_scale", "not part of the model"});
}

TEST_F(Checkpoint, WrongShape) {
  write_edited([](auto& tensors, auto&) {
    for (TensorView& tensor : tensors) {
      if (tensor.name == "blocks.0.mlp.fc.weight") tensor.shape = {16, 32};
    }
  });
  expect_error({"blocks.0.mlp.fc.weight", "[32, 16]", "[16, 32]"});
}

TEST_F(Checkpoint, IntegerTensor) {
  write_edited([](auto& tensors, auto&) {
    for (TensorView& tensor : tensors) {
      if (tensor.name == "tok_emb.weight") tensor.dtype = DType::kI32;
    }
  });
  expect_error({"tok_emb.weight", "F32", "I32"});
}

TEST_F(Checkpoint, NotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    ParamStore store = store_;
    store.tensor("blocks.0.attn.c_k.weight")[5] = bad;
    save_checkpoint(path_, config_, store);
    expect_error({"blocks.0.attn.c_k.weight", "element 5"});
  }
}

TEST_F(Checkpoint, ConfigMismatch) {
  ModelConfig other = config_;
  other.layers = 3;
  other.xsa_last_n = 3;
  write_edited([&](auto&, auto& metadata) { metadata["model"] = to_json(other); });
  expect_error({"blocks.2."});
  other = config_;
  other.vocab = 64;
  write_edited([&](auto&, auto& metadata) { metadata["model"] = to_json(other); });
  expect_error({"tok_emb.weight", "[64, 16]", "[48, 16]"});
}

TEST_F(Checkpoint, ForeignMetadata) {
  write_edited([](auto&, auto& metadata) { metadata.clear(); });
  expect_error({"\"format\"", "sixteen-train run"});
  write_edited([](auto&, auto& metadata) { metadata["format"] = "pt"; });
  expect_error({"\"pt\""});
  write_edited([](auto&, auto& metadata) { metadata["version"] = "2"; });
  expect_error({"version 2"});
  write_edited([](auto&, auto& metadata) { metadata.erase("model"); });
  expect_error({"\"model\""});
  write_edited([](auto&, auto& metadata) { metadata["model"] = "{\"vocab\": 48"; });
  expect_error({});
  write_edited([](auto&, auto& metadata) { metadata["model"] = "{\"vocab\": 48}"; });
  expect_error({});
}

// Every matrix as int6 codes, the rest as fp32; `edit` may damage a tensor.
template <class Edit>
void write_artifact(const std::string& path, const ModelConfig& config, const ParamStore& store, Edit edit) {
  Artifact artifact;
  artifact.config_json = to_json(config);
  for (const ParamSpec& spec : store.table->specs()) {
    PackedTensor tensor;
    tensor.name = spec.name;
    for (int i = 0; i < spec.shape.rank(); ++i) tensor.shape.push_back(spec.shape[i]);
    const auto values = store.tensor(spec.name);
    if (spec.quant == QuantClass::kMatrix) {
      tensor.bits = 6;
      for (const float value : values) tensor.codes.push_back(static_cast<int8_t>(std::lround(value * 100)));
      tensor.scales.assign(spec.shape[0], float_to_f16(0.01f));
    } else {
      tensor.plain_dtype = DType::kF32;
      const auto bytes = std::as_bytes(values);
      tensor.plain.assign(bytes.begin(), bytes.end());
    }
    edit(tensor);
    artifact.tensors.push_back(tensor);
  }
  const Bytes file = serialise_artifact(&artifact, {}, {});
  write_file(path, {reinterpret_cast<const char*>(file.data()), file.size()});
}

TEST_F(Checkpoint, Artifact) {
  write_artifact(path_, config_, store_, [](auto&) {});
  const Model model = load_model(path_);
  EXPECT_TRUE(model.packed);
  EXPECT_EQ(to_json(model.config), to_json(config_));
  EXPECT_EQ(model.file_bytes, std::filesystem::file_size(path_));
  for (const ParamSpec& spec : store_.table->specs()) {
    const std::span<const float> packed = model.store.tensor(spec.name), original = store_.tensor(spec.name);
    for (size_t i = 0; i < packed.size(); ++i) {
      const float expected = spec.quant == QuantClass::kMatrix ? static_cast<float>(std::lround(original[i] * 100)) *
                                                                     f16_to_float(float_to_f16(0.01f))
                                                               : original[i];
      ASSERT_EQ(packed[i], expected) << spec.name << " " << i;
    }
  }
}

TEST_F(Checkpoint, ArtifactThatDoesNotFitItsConfig) {
  ModelConfig other = config_;
  other.layers = 3;
  other.xsa_last_n = 3;
  write_artifact(path_, other, store_, [](auto&) {});
  expect_error({"blocks.2."});
  write_artifact(path_, config_, store_, [](PackedTensor& tensor) {
    const float bad = std::numeric_limits<float>::quiet_NaN();
    if (tensor.name == "blocks.0.mlp_scale") std::memcpy(&tensor.plain[4], &bad, sizeof bad);
  });
  expect_error({"blocks.0.mlp_scale", "element 1"});
  write_artifact(path_, config_, store_, [](PackedTensor& tensor) {
    if (tensor.name == "blocks.1.mlp_scale") tensor.name = "blocks.1.mlp_scales";
  });
  expect_error({"blocks.1.mlp_scales", "not part of the model"});
}

TEST_F(Checkpoint, CorruptFiles) {
  save_checkpoint(path_, config_, store_);
  const std::string good = read_text_file(path_);
  for (const size_t keep : {size_t{0}, size_t{4}, size_t{8}, size_t{100}, good.size() / 2, good.size() - 1}) {
    write_file(path_, good.substr(0, keep));
    expect_error({});
  }
  write_file(path_, good + "x");
  expect_error({});
  write_file(path_, std::string(1000, 'a'));
  expect_error({});
  std::filesystem::remove(path_);
  expect_error({});
}

TEST_F(Checkpoint, EveryFlipIsRefused) {
  save_checkpoint(path_, config_, store_);
  const std::string good = read_text_file(path_);
  for (size_t i = 0; i < good.size(); i += i < 64 ? 1 : 97) {  // the header's start whole, the rest at a prime's distance
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << (i % 8)));
    write_file(path_, bad);
    EXPECT_THROW(load_checkpoint(path_), Error) << "byte " << i;
  }
}

}  // namespace
}  // namespace sixteen
