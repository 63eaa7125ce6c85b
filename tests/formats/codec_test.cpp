// Codecs: round trips of hard inputs, damage, lying sizes; the byte shuffle against the records' own output.
#include "formats/codec.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <random>

#include "formats/safetensors.h"
#include "tests/support/bytes.h"
#include "tests/support/shared_data.h"

namespace sixteen {
namespace {

using testing::expect_error;

constexpr Codec kAll[] = {Codec::kStored, Codec::kBrotli, Codec::kZstd, Codec::kXz};

// Deterministic bytes: 0 random, 1 bell-shaped codes, 2 constant.
Bytes sample(int kind, size_t size) {
  std::mt19937 random(7);
  Bytes bytes(size);
  for (std::byte& byte : bytes) {
    const uint32_t draw = random();
    const int bell = static_cast<int>((draw & 15) + (draw >> 4 & 15) + (draw >> 8 & 15)) - 22;
    byte = static_cast<std::byte>(kind == 0 ? draw & 255 : kind == 1 ? static_cast<uint32_t>(bell) & 255 : 42);
  }
  return bytes;
}

TEST(Codec, RoundTrips) {
  for (const Codec codec : kAll) {
    for (int kind = 0; kind < 3; ++kind) {
      for (const size_t size : {0, 1, 2, 255, 4096, 1500000}) {
        if (size > 100000 && kind == 0) continue;  // slow and no different
        const Bytes raw = sample(kind, size);
        const int level = size > 100000 ? std::min(default_level(codec), 3) : default_level(codec);
        const Bytes coded = encode(codec, level, raw);
        EXPECT_EQ(decode(codec, coded, size, "s"), raw) << codec_name(codec) << " " << kind << " " << size;
      }
    }
  }
}

TEST(Codec, EveryLevel) {
  const Bytes raw = sample(1, 2000);
  const int highest[] = {0, 11, 22, 9};
  for (const Codec codec : kAll) {
    for (int level = codec == Codec::kZstd ? 1 : 0; level <= highest[static_cast<int>(codec)]; ++level) {
      EXPECT_EQ(decode(codec, encode(codec, level, raw), raw.size(), "s"), raw);
    }
    expect_error("level", [codec] { check_level(codec, 23); });
    expect_error("level", [codec] { encode(codec, -1, {}); });
  }
}

TEST(Codec, WrongSizesAndEndsAreRefused) {
  const Bytes raw = sample(1, 3000);
  for (const Codec codec : kAll) {
    const Bytes coded = encode(codec, default_level(codec), raw);
    testing::expect_length_checked(coded, [&](const Bytes& file) { decode(codec, file, raw.size(), "s"); });
    for (const size_t size : {size_t{0}, raw.size() - 1, raw.size() + 1, size_t{1} << 40}) {
      expect_error("stream s: ", [&] { decode(codec, coded, size, "s"); });
    }
  }
}

// A decoder may not notice a flip, but then it still yields exactly the promised number of bytes.
TEST(Codec, FlipsNeverChangeTheSize) {
  const Bytes raw = sample(1, 200);
  for (const Codec codec : kAll) {
    const Bytes coded = encode(codec, default_level(codec), raw);
    testing::count_accepted_flips(coded, [&](const Bytes& file) {
      EXPECT_EQ(decode(codec, file, raw.size(), "s").size(), raw.size());
    });
  }
}

TEST(Codec, Names) {
  for (const Codec codec : kAll) EXPECT_EQ(parse_codec(codec_name(codec)), codec);
  expect_error("expected auto, sixteen, stored, brotli, zstd or xz", [] { parse_codec("gzip"); });
}

TEST(Codec, ShuffleIsAPermutation) {
  const Bytes raw = testing::from_hex("00 01 02 03 04 05 06");
  EXPECT_EQ(shuffle_bytes(raw, 2), testing::from_hex("00 02 04 06 01 03 05"));
  EXPECT_EQ(shuffle_bytes(raw, 3), testing::from_hex("00 03 06 01 04 02 05"));
  EXPECT_EQ(shuffle_with_header(raw, 2), testing::from_hex("42 53 48 46 02  00 02 04 06 01 03 05"));
  for (size_t stride = 1; stride <= 9; ++stride) {
    EXPECT_EQ(unshuffle_bytes(shuffle_bytes(raw, stride), stride), raw);
    EXPECT_EQ(unshuffle_with_header(shuffle_with_header(raw, stride)), raw);
  }
  expect_error("stride", [] { unshuffle_with_header(testing::from_hex("42 53 48 46 00 01")); });
}

TEST(Codec, ShuffleAgreesWithTheRecords) {
  REQUIRE_SHARED("oracle/quant/byte_shuffle.safetensors");
  const SafetensorsFile golden(testing::shared_path("oracle/quant/byte_shuffle.safetensors"));
  int pairs = 0;
  for (const TensorView& tensor : golden.tensors()) {
    if (!tensor.name.ends_with(".in")) continue;
    const TensorView* out = golden.find(tensor.name.substr(0, tensor.name.size() - 3) + ".shuffled");
    if (out == nullptr) continue;
    const Bytes shuffled = shuffle_with_header(tensor.bytes, 2);
    EXPECT_TRUE(std::ranges::equal(shuffled, out->bytes)) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(unshuffle_with_header(out->bytes), tensor.bytes)) << tensor.name;
    ++pairs;
  }
  EXPECT_GT(pairs, 0);
  const Bytes blob(golden.at("brotli.blob").bytes.begin(), golden.at("brotli.blob").bytes.end());
  const Bytes shuffled = shuffle_with_header(golden.at("brotli.in").bytes, 2);
  EXPECT_EQ(decode(Codec::kBrotli, blob, shuffled.size(), "brotli.blob"), shuffled);
}

}  // namespace
}  // namespace sixteen
