// `inspect` recognises every file of ours by its content, and says which hash is which.
#include "packer/inspect.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "formats/artifact.h"
#include "formats/shard.h"
#include "model/checkpoint.h"
#include "packer/code_estimate.h"
#include "packer/pack.h"
#include "tests/support/bytes.h"
#include "tests/support/drawn_codes.h"
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
  const nlohmann::ordered_json json = inspect_file(path, {}, Console{});
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
  const nlohmann::ordered_json json = inspect_file(path, {}, kQuiet);
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
  for (const auto& stream : json.at("streams")) {
    if (stream.at("of") == "all") continue;
    for (const auto& tensor : json.at("tensors")) {
      const bool its = tensor.at("name") == stream.at("of");
      EXPECT_TRUE(!its || tensor.at("coded_bytes") == stream.at("coded_bytes")) << tensor;
    }
  }
  EXPECT_LT(coded, json.at("bytes").get<uint64_t>());
  EXPECT_EQ(json.at("bytes"), artifact.file_bytes);
  EXPECT_EQ(json.at("config").at("dim"), 32);
}

// Which rule stored a tensor and which quantiser made its codes; metadata that speak of other tensors are only shown.
TEST(Inspect, ArtifactTellsRulesAndQuantisers) {
  const Scratch scratch;
  const std::string path = write_artifact(scratch);
  ::testing::internal::CaptureStdout();
  const nlohmann::ordered_json json = inspect_file(path, {}, Console{});
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
    EXPECT_FALSE(inspect_file(path, {}, kQuiet).at("tensors")[0].contains("rule"));
  }
  artifact.tensors[0].round_bf16 = true;
  artifact.metadata.erase(kQuantisersKey);
  write_verified(&artifact, path, 0, {}, false);
  EXPECT_EQ(inspect_file(path, {}, kQuiet).at("tensors")[0].at("bits"), "int6:BF16");
}

TEST(Inspect, CheckpointShardAndSidecar) {
  const Scratch scratch;
  const ModelConfig config = testing::tiny_config();
  const ParamStore store = testing::tiny_store(config);
  save_checkpoint(scratch.path("m"), config, store);
  const nlohmann::ordered_json checkpoint = inspect_file(scratch.path("m"), {}, kQuiet);
  EXPECT_EQ(checkpoint.at("kind"), "safetensors");
  EXPECT_EQ(checkpoint.at("elements"), store.table->parameters());
  EXPECT_EQ(checkpoint.at("metadata").at("model"), to_json(config));
  EXPECT_EQ(checkpoint.at("file_sha256"), hash_of(scratch.path("m")));

  const std::vector<uint16_t> tokens = {1, 5, 9, 1, 60000};
  write_shard(scratch.path("s"), tokens);
  const nlohmann::ordered_json shard = inspect_file(scratch.path("s"), {}, kQuiet);
  EXPECT_EQ(shard.at("kind"), "token shard");
  EXPECT_EQ(shard.at("tokens"), 5);
  EXPECT_EQ(shard.at("documents"), 2);
  EXPECT_EQ(shard.at("largest_id"), 60000);
  write_shard(scratch.path("b"), tokens, kSidecarMagic);
  EXPECT_EQ(inspect_file(scratch.path("b"), {}, kQuiet).at("byte_sum"), 60016);
}

// Estimates of codes whose law is known: a rounded normal of deviation 3 needs log2(3 sqrt(2 pi e)) bits a code, one deviation a
// column or one for all. 300,000 codes give that to 0.3 %.
TEST(Inspect, EstimatesOfDrawnCodes) {
  const std::vector<int8_t> same = testing::draw_codes(1000, 300, 8, 3, 0, 1), wide = testing::draw_codes(1000, 300, 8, 9, 0, 2);
  const double bits = std::log2(3 * std::sqrt(2 * M_PI * M_E));
  const CodeEstimate one = estimate_codes(same, 300);
  EXPECT_NEAR(one.order0 * 8 / 300000, bits, 0.01);
  EXPECT_NEAR(one.columns * 8 / 300000, bits, 0.01);
  EXPECT_EQ(one.covariance, 0);
  std::vector<int8_t> mixed = same;
  for (size_t i = 0; i < mixed.size(); i += 2) mixed[i] = wide[i];  // every second column three times as wide
  const CodeEstimate two = estimate_codes(mixed, 300);
  EXPECT_NEAR(two.columns * 8 / 300000, bits + 0.5 * std::log2(3), 0.01);
  EXPECT_GT(two.order0, 1.03 * two.columns);
  std::vector<int8_t> twins(2000 * 2);
  const std::vector<int8_t> first = testing::draw_codes(2000, 1, 8, 10, 0, 3), other = testing::draw_codes(2000, 1, 8, 3, 0, 4);
  for (size_t i = 0; i < 2000; ++i) {
    twins[2 * i] = first[i];
    twins[2 * i + 1] = static_cast<int8_t>(first[i] + other[i]);
  }
  const CodeEstimate both = estimate_codes(twins, 2);  // the second column costs what it adds to the first
  EXPECT_NEAR(both.covariance * 8 / 2000, std::log2(10 * 2 * M_PI * M_E * 3), 0.1);  // 2,000 rows: 1 in 30 of a bit, twice, and rounding
  EXPECT_STREQ(both.best_name(), "covariance");
}

TEST(Inspect, ForeignPackedModel) {
  REQUIRE_SHARED("oracle/artifact/1584/artifact.json");
  const Scratch scratch;
  std::string path;
  for (const auto& entry : std::filesystem::directory_iterator(testing::shared_path("oracle/artifact/1584"))) {
    if (entry.path().extension() == ".ptz") path = entry.path();
  }
  ASSERT_FALSE(path.empty());
  InspectOptions options;
  options.report = scratch.path("r.html");
  const nlohmann::ordered_json json = inspect_file(path, options, kQuiet);
  EXPECT_EQ(json.at("kind"), "foreign");
  EXPECT_LT(json.at("as_s16_bytes").get<uint64_t>(), std::filesystem::file_size(path));
  EXPECT_GT(json.at("tensors").size(), 5u);
  EXPECT_NE(read_text_file(options.report).find("tok_emb.weight: "), std::string::npos);
}

// The report: every tensor with codes has a rectangle, parts add up to the file, nothing is loaded from elsewhere.
TEST(Inspect, ReportMapsTheFile) {
  const Scratch scratch;
  const std::string path = write_artifact(scratch);
  InspectOptions options;
  options.report = scratch.path("r.html");
  options.code_bytes = 12345;
  const nlohmann::ordered_json json = inspect_file(path, options, kQuiet);
  const std::string html = read_text_file(options.report);
  for (const auto& tensor : json.at("tensors")) {
    if (!tensor.contains("coded_bytes")) continue;
    const std::string cell = tensor.at("name").get<std::string>() + ": " + std::to_string(tensor.at("coded_bytes").get<uint64_t>()) + " bytes";
    EXPECT_NE(html.find(cell), std::string::npos) << cell;
  }
  EXPECT_NE(html.find("code: 12345 bytes"), std::string::npos);
  const uint64_t total = json.at("bytes").get<uint64_t>() + 12345;
  EXPECT_NE(html.find(std::to_string(total) + ", free " + std::to_string(16000000 - total)), std::string::npos);
  for (const char* outside : {"http", "<script", "<link", "src="}) EXPECT_EQ(html.find(outside), std::string::npos);
}

TEST(Inspect, Tokenizer) {
  REQUIRE_SHARED("data/tokenizers/fineweb_1024_bpe.model");
  const nlohmann::ordered_json json =
      inspect_file(testing::shared_path("data/tokenizers/fineweb_1024_bpe.model"), {}, kQuiet);
  EXPECT_EQ(json.at("kind"), "tokenizer");
  EXPECT_EQ(json.at("vocab"), 1024);
  EXPECT_EQ(json.at("bos_id"), 1);
}

TEST(Inspect, RefusesWhatIsNoneOfOurs) {
  const Scratch scratch;
  for (const char* content : {"", "x", "not one of our files, but some text that is long enough"}) {
    write_file(scratch.path("f"), content);
    expect_error(scratch.path("f"), [&] { inspect_file(scratch.path("f"), {}, kQuiet); });
  }
  expect_error(scratch.path("absent"), [&] { inspect_file(scratch.path("absent"), {}, kQuiet); });
  const std::string path = write_artifact(scratch);
  const std::string good = read_text_file(path);
  write_file(path, good.substr(0, good.size() - 1));
  expect_error(path, [&] { inspect_file(path, {}, kQuiet); });
}

}  // namespace
}  // namespace sixteen
