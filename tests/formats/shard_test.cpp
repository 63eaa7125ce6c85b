// Token shards: golden bytes, round trip, damage, foreign files, vocabulary.
#include "formats/shard.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/bytes.h"
#include "tests/support/scratch.h"
#include "tests/support/shared_data.h"

namespace sixteen {
namespace {

using testing::ByteVector;
using testing::expect_error;
using testing::Scratch;

// docs/FORMATS.md explains these bytes.
ByteVector golden(const char* magic) {
  const ByteVector head = testing::from_hex(std::string(magic) + "01 00 00 00  03 00 00 00");
  return testing::joined(testing::joined(head, ByteVector(1012)), testing::from_hex("01 00  e8 03  ff ff"));
}

const std::vector<uint16_t> kTokens = {1, 1000, 65535};

TEST(Shard, GoldenBytes) {
  const Scratch scratch;
  const ByteVector tokens = golden("88 d8 34 01"), sidecar = golden("89 d8 34 01");
  write_shard(scratch.path("t.bin"), kTokens);
  write_shard(scratch.path("s.bin"), kTokens, kSidecarMagic);
  const MappedFile token_file(scratch.path("t.bin")), sidecar_file(scratch.path("s.bin"));
  EXPECT_TRUE(std::ranges::equal(token_file.bytes(), tokens));
  EXPECT_TRUE(std::ranges::equal(sidecar_file.bytes(), sidecar));
  const TokenShard shard(scratch.write("g.bin", tokens));
  EXPECT_EQ(std::vector<uint16_t>(shard.tokens().begin(), shard.tokens().end()), kTokens);
  const TokenShard counts(scratch.write("h.bin", sidecar), kSidecarMagic);
  EXPECT_EQ(std::vector<uint16_t>(counts.tokens().begin(), counts.tokens().end()), kTokens);
}

TEST(Shard, EmptyShardIsOne) {
  const Scratch scratch;
  write_shard(scratch.path("e.bin"), {});
  EXPECT_TRUE(TokenShard(scratch.path("e.bin")).tokens().empty());
}

TEST(Shard, EveryLengthIsChecked) {
  testing::expect_length_checked(golden("88 d8 34 01"), [](const ByteVector& file) { parse_shard(file, "x.bin"); });
}

TEST(Shard, FlipsAreRefusedOrOneTokenChanges) {
  const ByteVector file = golden("88 d8 34 01");
  const size_t accepted = testing::count_accepted_flips(file, [](const ByteVector& flipped) {
    const auto tokens = parse_shard(flipped, "x.bin");
    ASSERT_EQ(tokens.size(), kTokens.size());
    int changed = 0;
    for (size_t i = 0; i < tokens.size(); ++i) changed += tokens[i] != kTokens[i] ? 1 : 0;
    EXPECT_EQ(changed, 1);
  });
  EXPECT_EQ(accepted, 8 * 2 * kTokens.size());  // the token bytes and nothing else
}

TEST(Shard, ErrorsSayWhatWasExpectedAndFound) {
  const ByteVector good = golden("88 d8 34 01");
  expect_error("x.bin: no token shard: offset 0: expected magic 20240520, found 20240521",
               [] { parse_shard(golden("89 d8 34 01"), "x.bin"); });
  expect_error("no byte sidecar", [&] { parse_shard(good, "x.bin", kSidecarMagic); });
  expect_error("expected a header of 1024 bytes", [] { parse_shard(testing::from_text("hello"), "x.bin"); });
  ByteVector negative = good;
  negative[11] = std::byte{0x80};
  expect_error("expected a token count", [&] { parse_shard(negative, "x.bin"); });
  expect_error("truncated", [&] { parse_shard(std::span(good).first(1029), "x.bin"); });
}

TEST(Shard, VocabularyErrorsNameFileAndOffset) {
  const Scratch scratch;
  write_shard(scratch.path("t.bin"), kTokens);
  const TokenShard shard(scratch.path("t.bin"));
  EXPECT_EQ(testing::error_of([&] { shard.check_vocab(65536); }), "");
  expect_error("t.bin: offset 1028: token 2 is id 65535, expected an id below the vocabulary's 65535",
               [&] { shard.check_vocab(65535); });
}

TEST(Shard, ReadsManyInOrder) {
  const Scratch scratch;
  write_shard(scratch.path("val_1.bin"), std::vector<uint16_t>{3, 4});
  write_shard(scratch.path("val_0.bin"), std::vector<uint16_t>{1, 2});
  EXPECT_EQ(read_shards(scratch.path("val_*.bin"), 5), (std::vector<uint16_t>{1, 2, 3, 4}));
  expect_error("val_1.bin", [&] { read_shards(scratch.path("val_*.bin"), 4); });
}

TEST(Shard, ReadsTheChallengesOwn) {
  REQUIRE_SHARED("data/shards/sp1024/fineweb_val_000000.bin");
  const auto tokens = read_shards(testing::shared_path("data/shards/sp1024/fineweb_val_*.bin"), 1024);
  EXPECT_EQ(tokens.size(), 1040060u);
  EXPECT_EQ(std::ranges::count(tokens, 1), 901);  // one BOS a document
}

}  // namespace
}  // namespace sixteen
