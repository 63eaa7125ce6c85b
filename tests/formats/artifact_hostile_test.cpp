// .s16 files made by an adversary: the hash is right, the content lies. Nothing may crash, allocate gigabytes or pass.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "formats/artifact.h"
#include "formats/artifact_index.h"
#include "tests/support/bytes.h"
#include "tests/support/sealed_artifact.h"

namespace sixteen {
namespace {

using testing::error_of;
using testing::expect_error;
using testing::seal_artifact;

const char kStreams[] = R"([6,"stored",0,1],[4,"stored",0,1])";
const char kTensors[] = R"(["w",6,2,3])";

std::string index_of(const std::string& streams, const std::string& tensors) {
  return R"({"config":"{}","metadata":{},"streams":[)" + streams + R"(],"tensors":[)" + tensors + "]}";
}

const Bytes kData = testing::from_hex("e1 00 1f 01 ff 02  00 38 00 40");

void refused(const std::string& part, const std::string& index, const Bytes& data = kData) {
  expect_error(part, [&] { parse_artifact(seal_artifact(index, data), "x.s16"); });
}

TEST(ArtifactHostile, TheUndamagedOnePasses) {
  EXPECT_EQ(error_of([] { parse_artifact(seal_artifact(index_of(kStreams, kTensors), kData), "x.s16"); }), "");
}

TEST(ArtifactHostile, IndexAndStreamsMustAgree) {
  refused("expected 2 streams", index_of(R"([10,"stored",0,1])", kTensors));
  refused("expected 2 streams", index_of(std::string(kStreams) + R"(,[0,"stored",0,1])", kTensors));
  refused("stream codes6 of w: expected 6 stored bytes, found 5", index_of(R"([5,"stored",0,1],[5,"stored",0,1])", kTensors));
  refused("stream scales: expected 2 stored bytes", index_of(kStreams, R"(["w",6,1,6])"));
  refused("expected 0 streams", index_of(kStreams, ""));
  refused("is no codec of a file", index_of(R"([6,"auto",0,1],[4,"stored",0,1])", kTensors));
}

TEST(ArtifactHostile, StreamsFillTheFileExactly) {
  const std::string index = index_of(kStreams, kTensors);
  refused("expected the digest, found 1 bytes more", index, testing::joined(kData, {std::byte{0}}));
  refused("expected 4 bytes, found 3", index, Bytes(kData.begin(), kData.end() - 1));
  refused("expected 18446744073709551615 bytes",
          index_of(R"([18446744073709551615,"stored",0,1],[11,"stored",0,1])", kTensors));
  refused("stream codes6 of w: expected 6 stored bytes, found 5",
          index_of(R"([5,"stored",0,1],[5,"stored",0,1])", kTensors));
  refused("stream codes6 of w: damaged", index_of(R"([6,"zstd",9,1],[4,"stored",0,1])", kTensors));
}

// Under our own codec any bytes decode to something; what they cannot be is longer than needed, or far too short.
TEST(ArtifactHostile, OwnCodecKnowsItsEnd) {
  Bytes data = testing::from_hex("01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13 14 15 16 17 18  00 38 00 40");
  refused("stream codes6 of w: more coded bytes than", index_of(R"(24,[4,"stored",0,1])", kTensors), data);
  data = testing::from_hex("e1 00 1f 01 ff 02  11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f");
  refused("stream scales: more coded bytes than", index_of(R"([6,"stored",0,1],15)", kTensors), data);
  data = testing::from_hex("12 00  00 38 00 40");  // a zero at the end that the coder leaves out
  refused("stream codes6 of w: more coded bytes than", index_of(R"(2,[4,"stored",0,1])", kTensors), data);
}

TEST(ArtifactHostile, ValuesAreInRange) {
  const std::string index = index_of(kStreams, kTensors);
  Bytes data = kData;
  data[2] = std::byte{32};
  refused("tensor w: code 2: expected -31 to 31, found 32", index, data);
  data = kData;
  data[0] = std::byte{0xe0};
  refused("code 0: expected -31 to 31, found -32", index, data);
  data = kData;
  data[9] = std::byte{0xfc};
  refused("tensor w: row 1: expected a finite scale", index, data);
}

TEST(ArtifactHostile, ShapesAndKindsAreSane) {
  const auto tensor = [](const std::string& part, const std::string& text) { refused(part, index_of(kStreams, text)); };
  tensor("expected 2 to 8 bits", R"(["w",1,2,3])");
  tensor("expected 2 to 8 bits", R"(["w",9,2,3])");
  tensor("expected 2 to 8 bits", R"(["w",-6,2,3])");
  tensor("F16, F32 or BF16", R"(["w","I8",2,3])");
  tensor("unknown dtype", R"(["w","F99",2,3])");
  for (const char* kind : {"6", "1:BF16", "9:BF16", "06:BF16", "6:F16", ":BF16", "F16:BF16:BF16"}) {
    tensor("unknown dtype", R"(["w",")" + std::string(kind) + R"(",2,3])");
  }
  tensor("codes and F16 can be marked", R"(["w","F32:BF16",2,3])");
  tensor("codes and F16 can be marked", R"(["w","BF16:BF16",2,3])");
  tensor("F16, F32 or BF16", R"(["w","I8:BF16",2,3])");
  tensor("1 to 8 dimensions", R"(["w",6])");
  tensor("0 to 8 dimensions", R"(["w","F16",1,1,1,1,1,1,1,1,1])");
  tensor("dimension of 0", R"(["w",6,2,0])");
  tensor("dimension of -2", R"(["w",6,-2,-3])");
  tensor("dimension of 4294967296", R"(["w",6,4294967296,4294967296])");
  tensor("dimension of", R"(["w",6,9223372036854775807])");
  tensor("names must be unique", R"(["w",6,1,3],["w",6,1,3])");
  tensor("not empty", R"(["",6,2,3])");
  tensor("unexpected structure", R"("w")");
  tensor("unexpected structure", R"(["w"])");
  tensor("unexpected structure", R"([6,6,2,3])");
  tensor("expected an integer", R"(["w",6,"2",3])");
}

TEST(ArtifactHostile, OnlyTheCanonicalHeaderPasses) {
  const std::string good = index_of(kStreams, kTensors);
  const auto replaced = [&good](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  refused("canonical", good + " ");
  refused("canonical", replaced(R"("metadata":{})", R"("metadata":{},"more":1)"));
  refused("expected an integer, found 3.0", replaced(R"(2,3])", R"(2,3.0])"));
  refused("expected an integer, found 1e+300", replaced(R"(2,3])", R"(2,1e300])"));
  refused("expected an integer, found true", replaced(R"("w",6)", R"("w",true)"));
  refused("canonical", replaced(R"("w",6)", R"("w",4294967302)"));
  refused("canonical", replaced(R"("w",6)", R"("\u0077",6)"));
  refused("canonical", replaced(R"(0,1],[4)", R"(0,1,"x"],[4)"));
  refused("canonical", replaced(R"([6,"stored",0,1])", R"([6,"sixteen",0,1])"));
  refused("appears twice", replaced(R"("metadata":{})", R"("metadata":{},"metadata":{})"));
  refused("malformed JSON", good + "x");
  refused("malformed JSON", good + std::string(1, '\0'));
  refused("expected a JSON object", "[]");
  refused("unexpected structure", "{}");
  refused("config: expected a JSON object", replaced(R"("config":"{}")", R"("config":"3")"));
  refused("config", replaced(R"("config":"{}")", R"("config":"{")"));
  refused("unexpected structure", replaced(R"("metadata":{})", R"("metadata":{"a":1})"));
  refused("unknown codec", replaced(R"("stored")", R"("gzip")"));
  refused("level", replaced(R"("stored",0)", R"("stored",1)"));
  refused("shuffle stride", replaced(R"("stored",0,1)", R"("stored",0,0)"));
  refused("nested", replaced(R"("metadata":{})", R"("metadata":)" + std::string(100000, '[')));
}

TEST(ArtifactHostile, HeaderLengthsAreBounded) {
  const auto patched = [](size_t offset, uint32_t value) {
    Bytes file = seal_artifact(index_of(kStreams, kTensors), kData);
    std::memcpy(file.data() + offset, &value, 4);
    testing::reseal(&file);
    return file;
  };
  for (const uint32_t value : {0u, 1u, 1u << 30, ~0u}) {
    EXPECT_NE(error_of([&] { parse_artifact(patched(8, value), "x.s16"); }), "");
    EXPECT_NE(error_of([&] { parse_artifact(patched(12, value), "x.s16"); }), "");
  }
}

// A few bytes that promise half a gigabyte, honestly or not, are refused before the memory is taken.
TEST(ArtifactHostile, SizesAreRefusedBeforeTheyCostMemory) {
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  refused("expected at most 536870912",
          index_of(R"([10,"stored",0,1])", R"(["a","F16",536870912])"));
  const std::string big = R"(["a",6,1,500000000])";
  for (const char* codec : {R"("stored",0)", R"("brotli",11)", R"("zstd",22)", R"("xz",9)"}) {
    refused("x.s16: stream codes6", index_of(std::string("[8,") + codec + R"(,1],[2,"stored",0,1])", big));
  }
  refused("8 coded bytes cannot hold 500000000 codes", index_of(R"(8,[2,"stored",0,1])", big));
  refused("11 coded bytes cannot hold 250000000 values", index_of("11", R"(["a","F16",250000000])"), Bytes(11, std::byte{1}));
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 200 * 1024);  // KiB
}

}  // namespace
}  // namespace sixteen
