// SentencePiece: byte tables against the oracle's, byte counts against text, damage.
#include "formats/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "formats/file.h"
#include "formats/safetensors.h"
#include "formats/shard.h"
#include "tests/support/bytes.h"
#include "tests/support/shared_data.h"

namespace sixteen {
namespace {

using testing::error_of;
using testing::expect_error;
using testing::shared_path;

constexpr const char* kModel1024 = "data/tokenizers/fineweb_1024_bpe.model";

// A model in protobuf wire format: pieces 1 {text 1, score 2, type 3}, then trainer 2 {model type 3 = BPE, byte fallback 35}.
// Ids: 0 <unk>, 1 <s>, 2 </s>, 3 to 258 the bytes, then "_b", "b", "_", "__", "ü" and an unused one ("_" is U+2581).
// Without byte fallback the bytes are left out, which makes a model of 100 bytes.
std::string tiny_model(bool byte_fallback = true) {
  const auto field = [](int number, const std::string& bytes) {
    return std::string(1, static_cast<char>(number << 3 | 2)) + static_cast<char>(bytes.size()) + bytes;
  };
  const auto piece = [&field](const std::string& text, char type) {
    return field(1, field(1, text) + std::string("\x15\0\0\0\0\x18", 6) + type);
  };
  std::string model = piece("<unk>", 2) + piece("<s>", 3) + piece("</s>", 3);
  constexpr char kDigits[] = "0123456789ABCDEF";
  for (int i = 0; byte_fallback && i < 256; ++i) model += piece(std::string("<0x") + kDigits[i / 16] + kDigits[i % 16] + ">", 6);
  const std::string blank = "\xe2\x96\x81";
  model += piece(blank + "b", 1) + piece("b", 1) + piece(blank, 1) + piece(blank + blank, 4) + piece("\xc3\xbc", 1);
  return model + piece("gone", 5) + field(2, byte_fallback ? "\x18\x02\x98\x02\x01" : "\x18\x02");
}

// docs/FORMATS.md lists the same rows.
TEST(Tokenizer, TablesOfEveryKindOfPiece) {
  const Tokenizer tokenizer(tiny_model(), "tiny.model");
  ASSERT_EQ(tokenizer.vocab(), 265);
  const ByteTables tables = tokenizer.byte_tables(267);
  const auto row = [&tables](int id) {
    return std::vector<int>{tables.base_bytes[id], tables.leading_space[id], tables.boundary[id]};
  };
  using Row = std::vector<int>;
  for (const int id : {0, 1, 2, 264, 265, 266}) EXPECT_EQ(row(id), (Row{0, 0, 1})) << id;  // 265 on: beyond the model
  for (int id = 3; id < 259; ++id) EXPECT_EQ(row(id), (Row{1, 0, 0})) << id;
  EXPECT_EQ(row(259), (Row{1, 1, 0}));  // " b"
  EXPECT_EQ(row(260), (Row{1, 0, 0}));  // "b"
  EXPECT_EQ(row(261), (Row{0, 1, 0}));  // " "
  EXPECT_EQ(row(262), (Row{3, 1, 0}));  // "  ": the second U+2581 counts its three bytes, as in the challenge
  EXPECT_EQ(row(263), (Row{2, 0, 0}));  // "ü"
  EXPECT_EQ(tables.bytes(259, 260), 2);
  EXPECT_EQ(tables.bytes(259, 1), 1);  // after BOS the blank does not count
  EXPECT_EQ(tables.bytes(1, 260), 0);
  EXPECT_EQ(tokenizer.byte_tables().vocab(), 265);
  expect_error("tiny.model: the tokenizer has 265 pieces", [&] { tokenizer.byte_tables(264); });
}

TEST(Tokenizer, TablesAgreeWithTheOracle) {
  REQUIRE_SHARED("oracle/eval/lut_sp1024.safetensors");
  REQUIRE_SHARED(kModel1024);
  for (const std::string vocab : {"1024", "8192"}) {
    const Tokenizer tokenizer(shared_path("data/tokenizers/fineweb_" + vocab + "_bpe.model"));
    const SafetensorsFile golden(shared_path("oracle/eval/lut_sp" + vocab + ".safetensors"));
    const ByteTables tables = tokenizer.byte_tables();
    EXPECT_EQ(std::to_string(tables.vocab()), vocab);
    EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(tables.base_bytes)), golden.at("base_bytes").bytes));
    EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(tables.leading_space)), golden.at("has_leading_space").bytes));
    EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(tables.boundary)), golden.at("is_boundary").bytes));
  }
}

// data/README.md: the validation documents have 2,504,310 bytes, counted with either tokenizer.
TEST(Tokenizer, ByteTablesCountTheValidationText) {
  REQUIRE_SHARED("data/shards/sp1024/fineweb_val_000000.bin");
  REQUIRE_SHARED(kModel1024);
  for (const std::string vocab : {"1024", "8192"}) {
    const Tokenizer tokenizer(shared_path("data/tokenizers/fineweb_" + vocab + "_bpe.model"));
    const ByteTables tables = tokenizer.byte_tables();
    const auto tokens = read_shards(shared_path("data/shards/sp" + vocab + "/fineweb_val_000000.bin"), tokenizer.vocab());
    int64_t bytes = 0;
    for (size_t i = 1; i < tokens.size(); ++i) bytes += tables.bytes(tokens[i], tokens[i - 1]);
    EXPECT_EQ(bytes, 2504310);
  }
}

TEST(Tokenizer, EncodesAndDecodes) {
  REQUIRE_SHARED(kModel1024);
  const Tokenizer tokenizer(shared_path(kModel1024));
  EXPECT_EQ(tokenizer.bos_id(), 1);
  const std::string text = "The 16 MB game: caf\xc3\xa9, \xf0\x9f\x98\x80 (2025).";
  const std::vector<int32_t> ids = tokenizer.encode(text);
  EXPECT_GT(ids.size(), 10u);
  EXPECT_EQ(tokenizer.decode(ids), text);
  EXPECT_TRUE(tokenizer.encode("").empty());
  const std::vector<int32_t> bad = {1, 1024};
  expect_error("cannot decode id 1024: expected 0 to 1023", [&] { tokenizer.decode(bad); });
}

// The format has no check of its own: damage is refused or gives another, valid tokenizer, and never more than an Error.
TEST(Tokenizer, DamageIsRefusedOrHarmless) {
  const testing::ByteVector model = testing::from_text(tiny_model(false));
  const auto read = [](const testing::ByteVector& file) {
    const Tokenizer tokenizer({reinterpret_cast<const char*>(file.data()), file.size()}, "x.model");
    const ByteTables tables = tokenizer.byte_tables();
    EXPECT_EQ(tables.vocab(), tokenizer.vocab());
    EXPECT_LE(tokenizer.vocab(), 9);
  };
  EXPECT_EQ(error_of([&] { read(model); }), "");
  EXPECT_LT(testing::count_accepted_flips(model, read), 8 * model.size());
  for (size_t size = 0; size < model.size(); ++size) {
    error_of([&] { read({model.begin(), model.begin() + static_cast<std::ptrdiff_t>(size)}); });
  }
  expect_error("x.model: no SentencePiece model", [&] { read({}); });
  expect_error("x.model: no SentencePiece model", [&] { read(testing::from_text("#!/bin/sh\necho a foreign file\n")); });
  expect_error("No such file", [] { Tokenizer("/nonexistent/t.model"); });
}

}  // namespace
}  // namespace sixteen
