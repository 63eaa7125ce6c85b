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

const char kStreams[] = R"(["codes6","stored",0,1,6,6],["scales","stored",0,1,4,4])";
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
  refused("expected 2 streams", index_of(R"(["codes6","stored",0,1,10,10])", kTensors));
  refused("expected 2 streams", index_of(std::string(kStreams) + R"(,["plain","stored",0,1,0,0])", kTensors));
  refused("expected stream codes6", index_of(R"(["scales","stored",0,1,4,4],["codes6","stored",0,1,6,6])", kTensors));
  refused("expected stream codes6 of 6 bytes, found codes6 of 5",
          index_of(R"(["codes6","stored",0,1,5,5],["scales","stored",0,1,5,5])", kTensors));
  refused("expected stream codes6", index_of(R"(["codes7","stored",0,1,6,6],["scales","stored",0,1,4,4])", kTensors));
  refused("expected stream scales of 2 bytes", index_of(kStreams, R"(["w",6,1,6])"));
  refused("expected 0 streams", index_of(kStreams, ""));
}

TEST(ArtifactHostile, StreamsFillTheFileExactly) {
  const std::string index = index_of(kStreams, kTensors);
  refused("expected the digest, found 1 bytes more", index, testing::joined(kData, {std::byte{0}}));
  refused("expected 4 bytes, found 3", index, Bytes(kData.begin(), kData.end() - 1));
  refused("expected 18446744073709551615 bytes",
          index_of(R"(["codes6","stored",0,1,18446744073709551615,6],["scales","stored",0,1,11,4])", kTensors));
  refused("stream codes6: expected 6 stored bytes, found 5",
          index_of(R"(["codes6","stored",0,1,5,6],["scales","stored",0,1,5,4])", kTensors));
  refused("stream codes6: damaged", index_of(R"(["codes6","zstd",9,1,6,6],["scales","stored",0,1,4,4])", kTensors));
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
  refused("canonical", replaced(R"(6,6])", R"(6,6,"x"])"));
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
  const auto patched = [](size_t offset, uint64_t value) {
    Bytes file = seal_artifact(index_of(kStreams, kTensors), kData);
    std::memcpy(file.data() + offset, &value, 8);
    testing::reseal(&file);
    return file;
  };
  for (const uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 40, ~uint64_t{0}}) {
    EXPECT_NE(error_of([&] { parse_artifact(patched(8, value), "x.s16"); }), "");
    EXPECT_NE(error_of([&] { parse_artifact(patched(16, value), "x.s16"); }), "");
  }
}

// A few bytes that promise half a gigabyte, honestly or not, are refused before the memory is taken.
TEST(ArtifactHostile, SizesAreRefusedBeforeTheyCostMemory) {
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  refused("expected at most 536870912",
          index_of(R"(["plain","stored",0,1,10,1073741824])", R"(["a","F16",536870912])"));
  const std::string big = R"(["a",6,1,500000000])";
  for (const char* codec : {R"("stored",0)", R"("brotli",11)", R"("zstd",22)", R"("xz",9)"}) {
    refused("x.s16: stream codes6", index_of(std::string(R"(["codes6",)") + codec +
                                             R"(,1,8,500000000],["scales","stored",0,1,2,2])", big));
  }
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 200 * 1024);  // KiB
}

}  // namespace
}  // namespace sixteen
