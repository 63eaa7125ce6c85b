// The chain of a ledger: golden lines, appending behind a cut, every flipped bit and every cut noticed.
#include "formats/ledger.h"

#include <gtest/gtest.h>

#include "tests/support/bytes.h"
#include "tests/support/scratch.h"

namespace sixteen {
namespace {

using testing::ByteVector;
using testing::from_text;

// docs/FORMATS.md 10; hashes by a Python program written from it.
const char* const kGolden =
    "sixteen ledger 1\n"
    "097f6a808641425e352a307ca3888103b3af86d0d3c7bcf83cd702b40d6d6d5a {\"a\":1,\"kind\":\"open\"}\n"
    "ee06af3fd70b5d4f9f720ce7f4a2d5e5c062e29ee7514c7c30ecf85c894dab3a {\"kind\":\"final\",\"nats\":0.1}\n";

TEST(LedgerFile, WritesTheGoldenLines) {
  const testing::Scratch scratch;
  LedgerFile file(scratch.path("l"));
  file.append({{"kind", "open"}, {"a", 1}});
  file.append({{"kind", "final"}, {"nats", 0.1}});
  EXPECT_EQ(read_text_file(scratch.path("l")), kGolden);
  const Ledger ledger = read_ledger(scratch.path("l"));
  EXPECT_EQ(ledger.fault, "");
  ASSERT_EQ(ledger.records.size(), 2u);
  EXPECT_EQ(ledger.records[1].kind, "final");
  EXPECT_EQ(ledger.records[1].body.at("nats"), 0.1);
  EXPECT_EQ(ledger.records[1].offset, 17u + 65 + 21 + 1);
  EXPECT_EQ(ledger.head, ledger.records[1].hash);
}

TEST(LedgerFile, GoesOnBehindTheGoodRecordsOfAnyCut) {
  const testing::Scratch scratch;
  const std::string golden = kGolden;
  for (size_t size = 17; size < golden.size(); ++size) {
    testing::Scratch::overwrite(scratch.path("l"), golden.substr(0, size));
    const Ledger cut = read_ledger(scratch.path("l"));
    EXPECT_EQ(cut.torn, !cut.fault.empty()) << size;
    EXPECT_EQ(cut.torn, cut.good_bytes != size) << size;
    LedgerFile file(scratch.path("l"), cut);
    if (cut.records.empty()) file.append({{"kind", "open"}, {"a", 1}});
    file.append({{"kind", "final"}, {"nats", 0.1}});
    EXPECT_EQ(read_text_file(scratch.path("l")), golden) << size;
  }
}

TEST(LedgerFile, EveryFlippedBitBreaksTheChain) {
  const ByteVector golden = from_text(kGolden);
  const auto read = [](const ByteVector& file) {
    const Ledger ledger = parse_ledger(file, "flip");
    if (!ledger.fault.empty()) throw Error(ledger.fault);
  };
  EXPECT_EQ(testing::count_accepted_flips(golden, read), 0u);
  EXPECT_NE(testing::error_of([&] { read(testing::joined(golden, from_text("\n"))); }), "");
  EXPECT_NE(testing::error_of([&] { read(testing::joined(golden, from_text(" "))); }), "");
}

TEST(LedgerFile, ARecordBehindTheChainMayNotBeAnything) {
  const auto fault = [](const std::string& text) {
    const std::string first = "sixteen ledger 1\n";
    const std::string line = text_digest(text_digest(first) + text) + " " + text + "\n";
    return parse_ledger(from_text(first + line), "x").fault;
  };
  EXPECT_EQ(fault("{\"kind\":\"open\"}"), "");
  EXPECT_NE(fault("{\"kind\":7}").find("offset 17: expected a record with a \"kind\""), std::string::npos);
  EXPECT_NE(fault("[]").find("offset 17"), std::string::npos);
  EXPECT_NE(fault("{\"kind\":\"a\",\"kind\":\"b\"}").find("twice"), std::string::npos);
  testing::expect_error("no ledger", [] { parse_ledger(from_text("sixteen ledger 2\n"), "x"); });
  testing::expect_error("no ledger", [] { parse_ledger({}, "x"); });
}

}  // namespace
}  // namespace sixteen
