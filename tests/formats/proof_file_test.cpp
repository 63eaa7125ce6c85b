// The .s16z file: golden bytes, round trip, damage, and files by an adversary with a right check.
#include "formats/proof_file.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/bytes.h"
#include "tests/support/sealed_proof.h"

namespace sixteen {
namespace {

using testing::ByteVector;
using testing::expect_error;
using testing::from_hex;

// docs/FORMATS.md explains these bytes.
ByteVector golden() {
  return from_hex(
      "53 31 36 5a  01  f6 53 a5 62"
      "01 02 03 04  11 12 13 14 15 16 17 18"
      "02  ac 02  01 61  00  02 62 32"
      "01  04"
      "02 04  03 80 04  86 01 0a  8b ff 00 00 00 00 00 00 d0 3c"
      "02 01 02"
      "aa bb");
}

ProofFile example() {
  ProofFile proof;
  proof.artifact = {1, 2, 3, 4};
  proof.text = {0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18};
  proof.shards = {{"a", 300}, {"b2", 0}};
  proof.first_token = 1;
  proof.settings = {{2, int64_t{2}}, {3, int64_t{256}}, {6, 0.5}, {11, 0x1p-50}};
  proof.sampled = {1, 4};
  proof.code = from_hex("aa bb");
  return proof;
}

void parse(const ByteVector& file) { parse_proof(file, "x.s16z"); }

TEST(ProofFile, GoldenBytes) {
  EXPECT_EQ(serialise_proof(example()), golden());
  const ProofFile read = parse_proof(golden(), "x.s16z");
  EXPECT_EQ(serialise_proof(read), golden());
  EXPECT_EQ(read.tokens(), 300);
  EXPECT_EQ(read.shards[1].name, "b2");
  EXPECT_EQ(read.sampled, (std::vector<int64_t>{1, 4}));
  EXPECT_EQ(std::get<int64_t>(read.settings[1].value), 256);
  EXPECT_EQ(std::get<double>(read.settings[2].value), 0.5);
}

TEST(ProofFile, NumbersOfAnySizeComeBack) {
  ProofFile proof = example();
  for (const int64_t value : {int64_t{0}, int64_t{-1}, int64_t{63}, int64_t{-64}, int64_t{64}, int64_t{-32}, int64_t{1} << 61}) {
    proof.settings = {{127, value}};
    EXPECT_EQ(std::get<int64_t>(parse_proof(serialise_proof(proof), "x").settings[0].value), value);
  }
}

TEST(ProofFile, RealNumbersComeBackAndAreShort) {
  ProofFile proof = example();
  for (const double value : {0.0, -0.0, 1.0, 0.005, 0.9, -0.1, 1e-15, 12345.678, 1.0 / 3, 1e300, 0x1p-1074, 9.007199254740993e15}) {
    proof.settings = {{127, value}};
    const double back = std::get<double>(parse_proof(serialise_proof(proof), "x").settings[0].value);
    EXPECT_EQ(std::memcmp(&back, &value, sizeof back), 0) << value;
  }
  const size_t long_size = serialise_proof(proof).size();
  proof.settings = {{127, 0.005}};
  EXPECT_EQ(serialise_proof(proof).size() + 7, long_size);
}

TEST(ProofFile, EveryLengthIsChecked) { testing::expect_length_checked(golden(), parse); }

TEST(ProofFile, EveryFlipIsRefused) { EXPECT_EQ(testing::count_accepted_flips(golden(), parse), 0u); }

// A body whose check is right.
void refused(const std::string& part, const std::string& hex) {
  expect_error(part, [&] { parse(testing::seal_proof(from_hex(hex))); });
}

const std::string kDigests = "01 02 03 04  11 12 13 14 15 16 17 18 ";

TEST(ProofFile, AnAdversaryIsRefused) {
  EXPECT_EQ(testing::error_of([] { parse(testing::seal_proof(from_hex(kDigests + "01 05 01 61 01 00 00"))); }), "");
  refused("truncated", "01 02");
  refused("expected a number of shards of 1 to 4096, found 0", kDigests + "00 01 00 00");
  refused("found 4097", kDigests + "81 20");
  refused("expected a shard's tokens of 0 to 268435456", kDigests + "01 81 80 80 80 01 01 61 01 00 00");
  refused("expected a shard's tokens of 0 to 0", kDigests + "02 80 80 80 80 01 01 61 01 01 62 01 00 00");  // together too many
  refused("empty shards alone", kDigests + "01 00 01 61 01 00 00");
  refused("in as few bytes as it takes", kDigests + "01 85 00 01 61 01 00 00");
  refused("in as few bytes as it takes", kDigests + "ff ff ff ff ff ff ff ff ff ff 01");
  refused("a name's length of 1 to 255, found 0", kDigests + "01 05 00 01 00 00");
  refused("two shards named \"a\"", kDigests + "02 05 01 61 05 01 61 01 00 00");
  for (const char* name : {"2f", "2e", "5c", "20", "0a", "00", "7f"}) {
    refused("a plain file name", kDigests + "01 05 01 " + name + " 01 00 00");
  }
  refused("a plain file name", kDigests + "01 05 04 61 2f 2e 2e 01 00 00");
  refused("a first token of 0 to 65535", kDigests + "01 05 01 61 80 80 04 00 00");
  refused("a number of settings of 0 to 127", kDigests + "01 05 01 61 01 80 01");
  refused("tags from 1 on, ascending, found 0", kDigests + "01 05 01 61 01 01 00 00 00");
  refused("tags from 1 on, ascending, found 3", kDigests + "01 05 01 61 01 02 03 00 03 00 00");
  refused("expected a finite number", kDigests + "01 05 01 61 01 01 86 ff 00 00 00 00 00 00 f0 7f 00");
  refused("in its shortest spelling", kDigests + "01 05 01 61 01 01 86 ff 00 00 00 00 00 00 e0 3f 00");
  refused("in its shortest spelling", kDigests + "01 05 01 61 01 01 86 02 64 00");  // 0.50
  refused("expected 0 to 15 decimals", kDigests + "01 05 01 61 01 01 86 10 0a 00");
  refused("expected no further sampled chunk after 268435456", kDigests + "01 05 01 61 01 00 02 80 80 80 80 01 00");
  refused("a step to the next sampled chunk", kDigests + "01 05 01 61 01 00 01 81 80 80 80 01");
  refused("truncated", kDigests + "01 05 01 61 01 00 05 00 00");  // five samples announced
}

TEST(ProofFile, WritersRefuseNamesThatReadersWould) {
  ProofFile proof = example();
  for (const char* name : {"", "a b", ".hidden", "a/b"}) {
    proof.shards[0].name = name;
    expect_error("plain file name", [&] { serialise_proof(proof); });
  }
}

}  // namespace
}  // namespace sixteen
