// `inspect` recognises every file of ours by its content, and says which hash is which.
#include "packer/inspect.h"

#include <gtest/gtest.h>

#include "formats/artifact.h"
#include "formats/shard.h"
#include "model/checkpoint.h"
#include "packer/pack.h"
#include "tests/support/bytes.h"
#include "tests/support/scratch.h"
#include "tests/support/shared_data.h"
#include "tests/support/tiny_model.h"

namespace sixteen {
namespace {

using testing::expect_error;
using testing::Scratch;

const Console kQuiet{.json = false, .quiet = true};

std::string hash_of(const std::string& path) { return to_hex(sha256(MappedFile(path).bytes())); }

std::string write_artifact(const Scratch& scratch) {
  const ModelConfig config = testing::tiny_config();
  const ParamStore store = testing::tiny_store(config);
  PackConfig pack;
  pack.max_plain_numel = 256;
  Artifact artifact =
      quantise_model({.config = config, .table = store.table, .store = store, .path = ""}, {}, pack, kQuiet);
  write_verified(&artifact, scratch.path("m"), 0, pack, false);
  return scratch.path("m");
}

TEST(Inspect, ArtifactTellsItsTwoHashesApart) {
  const Scratch scratch;
  const std::string path = write_artifact(scratch);
  ::testing::internal::CaptureStdout();
  const nlohmann::ordered_json json = inspect_file(path, Console{});
  const std::string text = ::testing::internal::GetCapturedStdout();
  const std::string content = to_hex(read_artifact(path).digest), whole = hash_of(path);
  ASSERT_NE(content, whole);
  EXPECT_NE(text.find("content SHA-256 stored in the file " + content), std::string::npos) << text;
  EXPECT_NE(text.find("SHA-256 of the file " + whole), std::string::npos) << text;
  EXPECT_EQ(json.at("kind"), "artifact");
  EXPECT_EQ(json.at("content_sha256"), content);
  EXPECT_EQ(json.at("file_sha256"), whole);
  EXPECT_EQ(json.at("path"), path);
}

TEST(Inspect, ArtifactSizesAddUp) {
  const Scratch scratch;
  const std::string path = write_artifact(scratch);
  const nlohmann::ordered_json json = inspect_file(path, kQuiet);
  const Artifact artifact = read_artifact(path);
  ASSERT_EQ(json.at("tensors").size(), artifact.tensors.size());
  uint64_t raw = 0, stream_raw = 0, coded = 0;
  for (const auto& tensor : json.at("tensors")) {
    raw += tensor.at("raw_bytes").get<uint64_t>();
    EXPECT_LE(tensor.at("entropy_bytes").get<double>(), tensor.at("raw_bytes").get<double>() + 1e-9)
        << tensor.at("name");
    EXPECT_GT(tensor.at("entropy_bytes").get<double>(), 0) << tensor.at("name");
  }
  for (const auto& stream : json.at("streams")) {
    stream_raw += stream.at("raw_bytes").get<uint64_t>();
    coded += stream.at("coded_bytes").get<uint64_t>();
  }
  EXPECT_EQ(raw, stream_raw);
  EXPECT_LT(coded, json.at("bytes").get<uint64_t>());
  EXPECT_EQ(json.at("bytes"), artifact.file_bytes);
  EXPECT_EQ(json.at("config").at("dim"), 32);
}

// Which rule stored a tensor and which quantiser made its codes; metadata that speak of other tensors are only shown.
TEST(Inspect, ArtifactTellsRulesAndQuantisers) {
  const Scratch scratch;
  const std::string path = write_artifact(scratch);
  ::testing::internal::CaptureStdout();
  const nlohmann::ordered_json json = inspect_file(path, Console{});
  const std::string text = ::testing::internal::GetCapturedStdout();
  EXPECT_NE(text.find("rule 2: at most 256 elements: fp16"), std::string::npos) << text;
  EXPECT_NE(text.find("  4:nearest\n"), std::string::npos) << text;
  for (const auto& tensor : json.at("tensors")) {
    const bool small = tensor.at("bits") == "F16";
    EXPECT_EQ(tensor.at("quantiser"), small ? "fp16" : "nearest") << tensor;
    EXPECT_EQ(tensor.at("rule"), small ? "1" : tensor.at("name") == "tok_emb.weight" ? "3" : "4") << tensor;
  }
  Artifact artifact = read_artifact(path);
  for (const char* nonsense : {"", "1:fp16", "x", ":", "4:nearest 4:nearest"}) {
    artifact.metadata[kQuantisersKey] = nonsense;
    write_verified(&artifact, path, 0, {}, false);
    EXPECT_FALSE(inspect_file(path, kQuiet).at("tensors")[0].contains("rule"));
  }
  artifact.tensors[0].round_bf16 = true;
  artifact.metadata.erase(kQuantisersKey);
  write_verified(&artifact, path, 0, {}, false);
  EXPECT_EQ(inspect_file(path, kQuiet).at("tensors")[0].at("bits"), "int6:BF16");
}

TEST(Inspect, CheckpointShardAndSidecar) {
  const Scratch scratch;
  const ModelConfig config = testing::tiny_config();
  const ParamStore store = testing::tiny_store(config);
  save_checkpoint(scratch.path("m"), config, store);
  const nlohmann::ordered_json checkpoint = inspect_file(scratch.path("m"), kQuiet);
  EXPECT_EQ(checkpoint.at("kind"), "safetensors");
  EXPECT_EQ(checkpoint.at("elements"), store.table->parameters());
  EXPECT_EQ(checkpoint.at("metadata").at("model"), to_json(config));
  EXPECT_EQ(checkpoint.at("file_sha256"), hash_of(scratch.path("m")));

  const std::vector<uint16_t> tokens = {1, 5, 9, 1, 60000};
  write_shard(scratch.path("s"), tokens);
  const nlohmann::ordered_json shard = inspect_file(scratch.path("s"), kQuiet);
  EXPECT_EQ(shard.at("kind"), "token shard");
  EXPECT_EQ(shard.at("tokens"), 5);
  EXPECT_EQ(shard.at("documents"), 2);
  EXPECT_EQ(shard.at("largest_id"), 60000);
  write_shard(scratch.path("b"), tokens, kSidecarMagic);
  EXPECT_EQ(inspect_file(scratch.path("b"), kQuiet).at("byte_sum"), 60016);
}

TEST(Inspect, Tokenizer) {
  REQUIRE_SHARED("data/tokenizers/fineweb_1024_bpe.model");
  const nlohmann::ordered_json json =
      inspect_file(testing::shared_path("data/tokenizers/fineweb_1024_bpe.model"), kQuiet);
  EXPECT_EQ(json.at("kind"), "tokenizer");
  EXPECT_EQ(json.at("vocab"), 1024);
  EXPECT_EQ(json.at("bos_id"), 1);
}

TEST(Inspect, RefusesWhatIsNoneOfOurs) {
  const Scratch scratch;
  for (const char* content : {"", "x", "not one of our files, but some text that is long enough"}) {
    write_file(scratch.path("f"), content);
    expect_error(scratch.path("f"), [&] { inspect_file(scratch.path("f"), kQuiet); });
  }
  expect_error(scratch.path("absent"), [&] { inspect_file(scratch.path("absent"), kQuiet); });
  const std::string path = write_artifact(scratch);
  const std::string good = read_text_file(path);
  write_file(path, good.substr(0, good.size() - 1));
  expect_error(path, [&] { inspect_file(path, kQuiet); });
}

}  // namespace
}  // namespace sixteen
