// The .s16 artifact: golden bytes, round trip under every codec, exact values, damage. Crafted files with a valid hash are
// in artifact_hostile_test.cpp.
#include "formats/artifact.h"

#include <brotli/encode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "formats/artifact_index.h"
#include "formats/safetensors.h"
#include "tests/support/bytes.h"
#include "tests/support/scratch.h"

namespace sixteen {
namespace {

using testing::ByteVector;
using testing::error_of;
using testing::expect_error;
using testing::Scratch;

constexpr StreamOptions kStored{Codec::kStored, 0, 1};
constexpr Codec kCodecs[] = {Codec::kStored, Codec::kBrotli, Codec::kZstd, Codec::kXz, Codec::kSixteen, Codec::kAuto};

PackedTensor packed(const std::string& name, std::vector<int64_t> shape, int bits, std::vector<int8_t> codes,
                    const std::vector<float>& scales) {
  PackedTensor tensor;
  tensor.name = name;
  tensor.shape = std::move(shape);
  tensor.bits = bits;
  tensor.codes = std::move(codes);
  for (const float scale : scales) tensor.scales.push_back(float_to_f16(scale));
  return tensor;
}

PackedTensor plain(const std::string& name, std::vector<int64_t> shape, DType dtype, const ByteVector& bytes) {
  PackedTensor tensor;
  tensor.name = name;
  tensor.shape = std::move(shape);
  tensor.plain_dtype = dtype;
  tensor.plain = bytes;
  return tensor;
}

Artifact sample() {
  Artifact artifact;
  artifact.config_json = R"({"layers": 2})";
  artifact.metadata = {{"producer", "test"}};
  artifact.tensors.push_back(packed("w", {2, 3}, 6, {-31, 0, 31, 1, -1, 2}, {0.5f, 2.0f}));
  artifact.tensors.push_back(packed("e", {1, 2}, 8, {127, -127}, {0.25f}));
  artifact.tensors.push_back(plain("g", {2}, DType::kF16, testing::from_hex("00 3c  00 c0")));
  artifact.tensors.push_back(plain("s", {}, DType::kF32, testing::from_hex("00 00 80 3f")));
  return artifact;
}

void expect_equal(const Artifact& a, const Artifact& b) {
  EXPECT_EQ(a.config_json, b.config_json);
  EXPECT_EQ(a.metadata, b.metadata);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    const PackedTensor &x = a.tensors[i], &y = b.tensors[i];
    EXPECT_EQ(x.name, y.name);
    EXPECT_EQ(x.shape, y.shape);
    EXPECT_EQ(x.bits, y.bits);
    EXPECT_EQ(x.codes, y.codes);
    EXPECT_EQ(x.scales, y.scales);
    EXPECT_EQ(x.plain, y.plain);
    EXPECT_TRUE(x.bits > 0 || x.plain_dtype == y.plain_dtype);
    EXPECT_EQ(x.round_bf16, y.round_bf16);
    EXPECT_EQ(x.trellis, y.trellis);
  }
}

std::string header_of(std::span<const std::byte> file) {
  uint32_t sizes[2] = {};
  std::memcpy(sizes, file.data() + 8, sizeof sizes);
  const Bytes header = decode(Codec::kBrotli, file.subspan(16, sizes[0]), sizes[1], "header");
  return {reinterpret_cast<const char*>(header.data()), header.size()};
}

const char kGoldenHeader[] =
    R"({"config":"{\"layers\": 2}","metadata":{"producer":"test"},)"
    R"("streams":[[6,"stored",0,1],[2,"stored",0,1],[6,"stored",0,1],[8,"stored",0,1]],)"
    R"("tensors":[["w",6,2,3],["e",8,1,2],["g","F16",2],["s","F32"]]})";
const char kGoldenStreams[] = "e1 00 1f 01 ff 02   7f 81   00 38 00 40 00 34   00 3c 00 c0  00 00 80 3f";

// docs/FORMATS.md explains these bytes. The coded header is what Brotli 1.0.9 writes; any other encoding of the same text
// is as good, so only the reader is held to it on other versions.
const char kGoldenFile[] =
    "533136410200000083000000c90000001fc800601c07b9b9c42b1304772f3482706da9ca"
    "6583dbc378a45bcabe080e930aff0f86354b9748dfd461e9d3c969cb28e1ab061a505bd2"
    "a216000518626e63c3e5f209125491255d0f908d8bd91bfba26fe589790603c9cabc8351"
    "06e39926dc4dbf5f8f8b3612574203558619efd082377e32aac409aa841aba8b430cf068"
    "45a903e1001f01ff027f81003800400034003c00c00000803f546991c3be141db2062a61"
    "cc9c5a11d73f927225d791e8eccf4c5e652f869a1b";

TEST(Artifact, GoldenBytesAreRead) {
  const Artifact artifact = parse_artifact(testing::from_hex(kGoldenFile), "golden.s16");
  expect_equal(artifact, sample());
  ASSERT_EQ(artifact.streams.size(), 4u);
  EXPECT_EQ(artifact.streams[0].name, "codes6");
  EXPECT_EQ(artifact.streams[0].tensor, 0);
  EXPECT_EQ(artifact.streams[1].name, "codes8");
  EXPECT_EQ(artifact.streams[3].name, "plain");
  EXPECT_EQ(artifact.streams[3].tensor, -1);
  EXPECT_EQ(artifact.streams[3].offset + 8 + 32, artifact.file_bytes);
}

TEST(Artifact, GoldenBytesAreWritten) {
  Artifact artifact = sample();
  const Bytes file = serialise_artifact(&artifact, {}, kStored);
  const bool same_brotli = BrotliEncoderVersion() == 0x1000009;
  EXPECT_TRUE(!same_brotli || file == testing::from_hex(kGoldenFile));
  EXPECT_EQ(Bytes(file.begin(), file.begin() + 8), testing::from_hex("53 31 36 41  02 00 00 00"));
  EXPECT_EQ(header_of(file), kGoldenHeader);
  uint32_t coded = 0;
  std::memcpy(&coded, file.data() + 8, 4);
  const Bytes streams(file.begin() + 16 + static_cast<std::ptrdiff_t>(coded), file.end() - 32);
  EXPECT_EQ(streams, testing::from_hex(kGoldenStreams));
  const Sha256 digest = sha256(std::span(file).first(file.size() - 32));
  EXPECT_EQ(std::memcmp(digest.data(), file.data() + file.size() - 32, 32), 0);
}

TEST(Artifact, ValuesAreCodeTimesScaleExactly) {
  const Artifact artifact = sample();
  EXPECT_EQ(artifact.tensors[0].dequantise(), (std::vector<float>{-15.5f, 0, 15.5f, 2, -2, 4}));
  EXPECT_EQ(artifact.tensors[1].dequantise(), (std::vector<float>{31.75f, -31.75f}));
  EXPECT_EQ(artifact.tensors[2].dequantise(), (std::vector<float>{1, -2}));
  EXPECT_EQ(artifact.tensors[3].dequantise(), std::vector<float>{1});
  EXPECT_EQ(plain("b", {1}, DType::kBF16, testing::from_hex("00 bf")).dequantise(), std::vector<float>{-0.5f});
  const PackedTensor odd = packed("o", {1, 1}, 8, {113}, {0.0123f});
  EXPECT_EQ(odd.dequantise()[0], 113.0f * f16_to_float(float_to_f16(0.0123f)));
}

// Tables that a record holds in bf16: marked in the header, rounded after the product, equal to what bf16 can hold.
TEST(Artifact, MarkedTablesAreRoundedToBf16) {
  Artifact artifact = sample();
  artifact.tensors[1] = packed("e", {1, 3}, 8, {113, -113, 1}, {0.0123f});
  artifact.tensors[2].plain = testing::from_hex("01 3c  ff c3");  // 1 + 2^-10, -(4 - 2^-9)
  for (const size_t i : {0, 1, 2}) artifact.tensors[i].round_bf16 = true;
  const Bytes file = serialise_artifact(&artifact, {}, kStored);
  const std::string text = header_of(file);
  EXPECT_NE(text.find(R"([["w","6:BF16",2,3],["e","8:BF16",1,3],["g","F16:BF16",2],["s","F32"]])"), std::string::npos)
      << text;
  const Artifact read = parse_artifact(file, "x.s16");
  expect_equal(read, artifact);
  EXPECT_EQ(read.tensors[0].dequantise(), sample().tensors[0].dequantise());  // bf16 holds these
  EXPECT_EQ(read.tensors[2].dequantise(), (std::vector<float>{1, -4}));
  for (size_t i = 0; i < 3; ++i) {
    const float product = static_cast<float>(artifact.tensors[1].codes[i]) * f16_to_float(artifact.tensors[1].scales[0]);
    EXPECT_EQ(read.tensors[1].dequantise()[i], round_to_bf16(product)) << i;
    EXPECT_NE(read.tensors[1].dequantise()[i], product) << i;
  }
  artifact.tensors[3].round_bf16 = true;
  expect_error("codes and F16 can be marked for rounding to bf16, found F32",
               [&] { serialise_artifact(&artifact, {}, kStored); });
}

// Codes of a trellis: the parities of a column's codes decide which of the next ones stand for half a step less. By hand: the register
// begins as 0, an odd code makes it 0x71 (half), and then, with an even code, 0x38 ^ 0x107 = 0x13f (half), 0x9f ^ 0x107 = 0x198.
TEST(Artifact, TrellisValues) {
  Artifact artifact = sample();
  artifact.tensors[0] = packed("w", {4, 2}, 6, {1, 2, 4, 5, -2, -3, 0, 31}, {0.5f, 2, 0.25f, 4});
  artifact.tensors[0].trellis = artifact.tensors[1].trellis = artifact.tensors[1].round_bf16 = true;
  const Bytes file = serialise_artifact(&artifact, {}, kStored);
  EXPECT_NE(header_of(file).find(R"([["w","6T",4,2],["e","8T:BF16",1,2],["g")"), std::string::npos);
  const Artifact read = parse_artifact(file, "x.s16");
  expect_equal(read, artifact);
  // Column 0: 1, 4 - 1/2, -2 - 1/2, 0. Column 1: 2 and 5 leave it at 0 and 0x71: -3 - 1/2; then 0x38 ^ 0x107 ^ 0x71 = 0x14e.
  EXPECT_EQ(read.tensors[0].dequantise(), (std::vector<float>{0.5f, 1, 7, 10, -0.625f, -0.875f, 0, 124}));
  artifact.tensors[2].trellis = true;
  expect_error("tensor g: a trellis is for codes, found F16", [&] { serialise_artifact(&artifact, {}, kStored); });
}

// A model of every width and dtype through every codec and stride.
TEST(Artifact, RoundTripsUnderEveryCodec) {
  std::mt19937 random(3);
  Artifact artifact;
  artifact.config_json = "{}";
  for (int bits = 2; bits <= 8; ++bits) {
    const int limit = (1 << (bits - 1)) - 1;
    std::vector<int8_t> codes(7 * 30);
    for (int8_t& code : codes) code = static_cast<int8_t>(static_cast<int>(random() % (2 * limit + 1)) - limit);
    artifact.tensors.push_back(packed("m" + std::to_string(bits), {7, 5, 6}, bits, codes, std::vector<float>(7, 0.1f)));
    artifact.tensors.back().trellis = bits % 2 == 1;
  }
  for (const DType dtype : {DType::kF16, DType::kF32, DType::kBF16}) {
    ByteVector bytes(11 * dtype_bytes(dtype));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    artifact.tensors.push_back(plain(std::string(dtype_name(dtype)), {11}, dtype, bytes));
  }
  for (const Codec codec : kCodecs) {
    for (const int stride : {1, 2, 3, 255}) {
      const std::map<std::string, StreamOptions> options = {{"scales", {Codec::kZstd, 3, 2}}};
      const Bytes file = serialise_artifact(&artifact, options, {codec, default_level(codec), stride});
      const Artifact read = parse_artifact(file, "x.s16");
      expect_equal(read, artifact);
      EXPECT_EQ(read.digest, artifact.digest);
      EXPECT_EQ(read.file_bytes, file.size());
      ASSERT_EQ(read.streams.size(), 9u);
      for (size_t i = 0; i < read.streams.size(); ++i) {
        EXPECT_EQ(read.streams[i].offset, artifact.streams[i].offset);
        EXPECT_NE(read.streams[i].options.codec, Codec::kAuto);
        const Codec expected = read.streams[i].name == "scales" ? Codec::kZstd : codec;
        EXPECT_TRUE(expected == Codec::kAuto || read.streams[i].options.codec == expected);
      }
      EXPECT_EQ(serialise_artifact(&artifact, options, {codec, default_level(codec), stride}), file);  // deterministic
    }
  }
}

// The smallest codec, stream by stream: general ones for what repeats, ours for what is drawn.
TEST(Artifact, AutoTakesTheSmallest) {
  std::mt19937 random(4);
  std::vector<int8_t> drawn(256 * 512), repeated(256 * 512);
  for (size_t i = 0; i < drawn.size(); ++i) {
    drawn[i] = static_cast<int8_t>((random() % 16 + random() % 16 + random() % 16 + random() % 16) / 2 - 15);
    repeated[i] = i < 1000 ? drawn[i] : repeated[i - 1000];
  }
  Artifact artifact;
  artifact.config_json = "{}";
  artifact.tensors.push_back(packed("drawn", {256, 512}, 6, drawn, std::vector<float>(256, 0.1f)));
  artifact.tensors.push_back(packed("repeated", {256, 512}, 6, repeated, std::vector<float>(256, 0.1f)));
  serialise_artifact(&artifact, {}, {});
  EXPECT_EQ(artifact.streams[0].options.codec, Codec::kSixteen);
  EXPECT_NE(artifact.streams[1].options.codec, Codec::kSixteen);
  std::vector<uint64_t> chosen;
  for (const StreamInfo& stream : artifact.streams) chosen.push_back(stream.coded_bytes);
  for (const Codec codec : kCodecs) {
    if (codec == Codec::kAuto) continue;
    serialise_artifact(&artifact, {}, {codec, default_level(codec), 1});
    for (size_t i = 0; i < chosen.size(); ++i) EXPECT_LE(chosen[i], artifact.streams[i].coded_bytes) << i << codec_name(codec);
  }
}

TEST(Artifact, EmptyModelIsAnArtifact) {
  Artifact artifact;
  artifact.config_json = "{}";
  const Bytes file = serialise_artifact(&artifact, {}, kStored);
  EXPECT_TRUE(parse_artifact(file, "x.s16").tensors.empty());
}

TEST(Artifact, EveryLengthIsChecked) {
  for (const Codec codec : {Codec::kStored, Codec::kBrotli, Codec::kSixteen}) {
    Artifact artifact = sample();
    testing::expect_length_checked(serialise_artifact(&artifact, {}, {codec, default_level(codec), 2}),
                                   [](const ByteVector& file) { parse_artifact(file, "x.s16"); });
  }
}

TEST(Artifact, EveryFlipIsRefused) {
  for (const Codec codec : kCodecs) {
    Artifact artifact = sample();
    const Bytes file = serialise_artifact(&artifact, {}, {codec, default_level(codec), 1});
    EXPECT_EQ(testing::count_accepted_flips(file, [](const ByteVector& flipped) { parse_artifact(flipped, "x.s16"); }), 0u);
  }
}

TEST(Artifact, FilesAndForeignFiles) {
  const Scratch scratch;
  Artifact artifact = sample();
  const std::string path = scratch.write("m.s16", serialise_artifact(&artifact, {}, kStored));
  EXPECT_TRUE(is_artifact(path));
  expect_equal(read_artifact(path), sample());
  write_safetensors(scratch.path("m.safetensors"), {}, {});
  EXPECT_FALSE(is_artifact(scratch.path("m.safetensors")));
  expect_error("m.safetensors: no .s16 artifact: offset 0", [&] { read_artifact(scratch.path("m.safetensors")); });
  expect_error("No such file", [&] { is_artifact(scratch.path("none")); });
  scratch.write("short", testing::from_text("S1"));
  EXPECT_FALSE(is_artifact(scratch.path("short")));
  expect_error("truncated: expected at least 48 bytes", [&] { parse_artifact(testing::from_text("S16A"), "x.s16"); });
  ByteVector version = testing::from_hex(kGoldenFile);
  for (const int other : {1, 3}) {
    version[4] = static_cast<std::byte>(other);
    expect_error("expected artifact version 2, found " + std::to_string(other), [&] { parse_artifact(version, "x.s16"); });
  }
}

TEST(Artifact, WriterRefusesWhatNoReaderTakes) {
  const auto refused = [](const std::string& part, const std::function<void(Artifact*)>& spoil,
                          const StreamOptions& options = kStored) {
    Artifact artifact = sample();
    spoil(&artifact);
    expect_error(part, [&] { serialise_artifact(&artifact, {}, options); });
  };
  refused("names must be unique", [](Artifact* a) { a->tensors[1].name = "w"; });
  refused("names must be unique and not empty", [](Artifact* a) { a->tensors[1].name = ""; });
  refused("expected a JSON object", [](Artifact* a) { a->config_json = "[]"; });
  refused("config", [](Artifact* a) { a->config_json = "{"; });
  refused("2 to 8 bits", [](Artifact* a) { a->tensors[0].bits = 9; });
  refused("F16, F32 or BF16", [](Artifact* a) { a->tensors[2].plain_dtype = DType::kI16; });
  refused("not finite", [](Artifact* a) { a->tensors[0].scales[1] = 0x7c00; });
  refused("shuffle stride", [](Artifact*) {}, {Codec::kStored, 0, 0});
  refused("level", [](Artifact*) {}, {Codec::kBrotli, 12, 1});
  refused("level", [](Artifact*) {}, {Codec::kSixteen, 1, 1});
}

}  // namespace
}  // namespace sixteen
