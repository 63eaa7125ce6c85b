// safetensors: golden bytes, round trip, damage, hostile headers, conversion to fp32.
#include "formats/safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <cmath>

#include "tests/support/bytes.h"
#include "tests/support/scratch.h"

namespace sixteen {
namespace {

using testing::ByteVector;
using testing::expect_error;
using testing::Scratch;

using Metadata = std::map<std::string, std::string>;

struct Parsed {
  std::vector<TensorView> tensors;
  Metadata metadata;
};

Parsed parse(const ByteVector& file) {
  Parsed parsed;
  parse_safetensors(file, "x.safetensors", &parsed.tensors, &parsed.metadata);
  return parsed;
}

// A file of this header, blanks added up to 8, and `data`.
ByteVector file_of(std::string header, const ByteVector& data) {
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const std::vector<uint64_t> length = {header.size()};
  return testing::joined(testing::joined(testing::bytes_of(length), testing::from_text(header)), data);
}

const char kGoldenHeader[] =
    R"({"__metadata__":{"who":"me"},"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
    R"("b":{"dtype":"BF16","shape":[3],"data_offsets":[8,14]}})";

// docs/FORMATS.md explains these bytes: 1.0f, -2.0f; bf16 1, 0.5, NaN.
ByteVector golden() {
  return file_of(kGoldenHeader, testing::from_hex("00 00 80 3f  00 00 00 c0   80 3f  00 3f  c0 7f"));
}

TEST(Safetensors, GoldenBytes) {
  const ByteVector file = golden();
  EXPECT_EQ(ByteVector(file.begin(), file.begin() + 9), testing::from_hex("90 00 00 00 00 00 00 00 7b"));
  const Parsed parsed = parse(file);
  ASSERT_EQ(parsed.tensors.size(), 2u);
  EXPECT_EQ(parsed.metadata, (Metadata{{"who", "me"}}));
  EXPECT_EQ(parsed.tensors[0].name, "w");
  EXPECT_EQ(parsed.tensors[0].shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(parsed.tensors[0].offset, 152u);
  EXPECT_EQ(parsed.tensors[1].name, "b");
  EXPECT_EQ(parsed.tensors[1].dtype, DType::kBF16);
  const Scratch scratch;
  write_safetensors(scratch.path("g.safetensors"), parsed.tensors, parsed.metadata);
  EXPECT_EQ(testing::from_text(read_text_file(scratch.path("g.safetensors"))), file);
}

TEST(Safetensors, RoundTripOfAllTypesAndOddSizes) {
  const Scratch scratch;
  std::vector<ByteVector> data;
  std::vector<TensorView> tensors;
  for (int i = 0; i <= static_cast<int>(DType::kBool); ++i) {
    const DType dtype = static_cast<DType>(i);
    ByteVector bytes(3 * dtype_bytes(dtype));
    for (size_t k = 0; k < bytes.size(); ++k) bytes[k] = static_cast<std::byte>(17 * i + static_cast<int>(k) + 1);
    data.push_back(bytes);
  }
  for (int i = 0; i <= static_cast<int>(DType::kBool); ++i) {
    const DType dtype = static_cast<DType>(i);
    tensors.push_back({std::string(dtype_name(dtype)), dtype, {3, 1}, data[static_cast<size_t>(i)], 0});
  }
  tensors.push_back({"scalar", DType::kU8, {}, std::span(data.back()).first(1), 0});
  tensors.push_back({"empty", DType::kF32, {0, 4}, {}, 0});
  const Metadata metadata = {{"config", R"({"text":"quotes \" and ü"})"}, {"", "empty key"}};
  write_safetensors(scratch.path("a"), tensors, metadata);
  const SafetensorsFile file(scratch.path("a"));
  EXPECT_EQ(file.metadata(), metadata);
  ASSERT_EQ(file.tensors().size(), tensors.size());
  for (const TensorView& tensor : tensors) {
    const TensorView& read = file.at(tensor.name);
    EXPECT_EQ(read.dtype, tensor.dtype);
    EXPECT_EQ(read.shape, tensor.shape);
    EXPECT_TRUE(std::ranges::equal(read.bytes, tensor.bytes));
  }
  EXPECT_EQ(file.tensors()[3].name, "BF16");  // file order
  EXPECT_EQ(file.find("none"), nullptr);
  expect_error("tensor none is missing", [&] { file.at("none"); });
  EXPECT_EQ(content_hash(file.tensors(), file.metadata()), content_hash(tensors, metadata));
}

TEST(Safetensors, EveryLengthIsChecked) {
  testing::expect_length_checked(golden(), [](const ByteVector& file) { parse(file); });
}

// A flip either is refused or changes data bits, a tensor's name or a metadata text, never types, shapes or places; the
// content hash, which our own resume state stores, sees all of these.
TEST(Safetensors, FlipsAreRefusedOrChangeContentOnly) {
  const ByteVector file = golden();
  const Parsed good = parse(file);
  const std::string good_hash = content_hash(good.tensors, good.metadata);
  const size_t accepted = testing::count_accepted_flips(file, [&](const ByteVector& flipped) {
    const Parsed parsed = parse(flipped);
    ASSERT_EQ(parsed.tensors.size(), good.tensors.size());
    ASSERT_EQ(parsed.metadata.size(), good.metadata.size());
    for (size_t i = 0; i < good.tensors.size(); ++i) {
      EXPECT_EQ(parsed.tensors[i].dtype, good.tensors[i].dtype);
      EXPECT_EQ(parsed.tensors[i].shape, good.tensors[i].shape);
      EXPECT_EQ(parsed.tensors[i].offset, good.tensors[i].offset);
    }
    EXPECT_NE(content_hash(parsed.tensors, parsed.metadata), good_hash);
  });
  EXPECT_GE(accepted, 8u * 14);
  EXPECT_LT(accepted, 8u * 14 + 8u * 7);  // data, and at most the seven letters of "who", "me", "w" and "b"
}

TEST(Safetensors, HostileHeaders) {
  const ByteVector data(8);
  const auto refused = [&](const std::string& part, const std::string& header) {
    expect_error(part, [&] { parse(file_of(header, data)); });
  };
  EXPECT_EQ(testing::error_of([&] { parse(file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", data)); }), "");
  refused("malformed JSON", R"({"a":)");
  refused("expected \"{\"", R"([1])");
  refused("expected \"{\"", R"( {"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})");
  refused("malformed JSON", std::string(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})") + '\0' + "rest");
  refused("appears twice", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                           R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})");
  refused("unknown dtype", R"({"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}})");
  refused("does not fill", R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})");
  refused("does not fill", R"({"a":{"dtype":"F32","shape":[4611686018427387905,4],"data_offsets":[0,8]}})");
  refused("too large", R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}})");
  refused("non-negative integer", R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})");
  refused("non-negative integer", R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})");
  refused("is the file truncated", R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})");
  refused("range within", R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[8,0]}})");
  refused("without holes or overlap", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})");
  refused("without holes or overlap", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                                      R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})");
  refused("bytes behind", R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})");
  refused("exactly dtype", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1}})");
  refused("expected a string", R"({"__metadata__":{"a":1}})");
  refused("an object of strings", R"({"__metadata__":[]})");
  refused("malformed JSON", "{\"\xff\":1}");
  refused("nested", "{\"a\":" + std::string(1000000, '['));
  expect_error("does not fit", [] { parse(testing::from_hex("ff ff ff ff ff ff ff 7f 7b")); });
  expect_error("no safetensors file", [] { parse(testing::from_text("PK\x03\x04 a foreign file")); });
}

TEST(Safetensors, CopyAsFloat) {
  const auto values = [](DType dtype, const char* hex, size_t count) {
    const ByteVector bytes = testing::from_hex(hex);
    std::vector<float> out(count);
    copy_as_float({"t", dtype, {static_cast<int64_t>(count)}, bytes, 0}, out);
    return out;
  };
  using Floats = std::vector<float>;
  EXPECT_EQ(values(DType::kF64, "00 00 00 00 00 00 f8 3f", 1), Floats{1.5f});
  EXPECT_EQ(values(DType::kF32, "00 00 80 3f 00 00 00 c0", 2), (Floats{1, -2}));
  EXPECT_EQ(values(DType::kF16, "00 3c 01 00", 2), (Floats{1, 0x1p-24f}));
  EXPECT_EQ(values(DType::kBF16, "80 3f 00 bf", 2), (Floats{1, -0.5f}));
  EXPECT_EQ(values(DType::kI64, "fe ff ff ff ff ff ff ff", 1), Floats{-2});
  EXPECT_EQ(values(DType::kI32, "fe ff ff ff", 1), Floats{-2});
  EXPECT_EQ(values(DType::kI16, "fe ff 02 01", 2), (Floats{-2, 258}));
  EXPECT_EQ(values(DType::kI8, "fe 7f", 2), (Floats{-2, 127}));
  EXPECT_EQ(values(DType::kU8, "fe 7f", 2), (Floats{254, 127}));
  expect_error("found BOOL", [&] { values(DType::kBool, "01", 1); });
  expect_error("expected 2 elements", [&] { values(DType::kI8, "01", 2); });
}

TEST(Safetensors, UnwritableTargets) {
  const Scratch scratch;
  expect_error("No such file", [&] { write_safetensors(scratch.path("no/x"), {}, {}); });
  if (access("/dev/full", W_OK) == 0) expect_error("No space", [] { write_safetensors("/dev/full", {}, {}); });
}

}  // namespace
}  // namespace sixteen
