// Zips of stored entries, and every way in which a directory can lie about them.
#include "formats/zip.h"

#include <gtest/gtest.h>

#include "tests/support/torch_writer.h"

namespace sixteen {
namespace {

using testing::ByteVector;
using testing::expect_error;
using testing::from_text;
using testing::zip_of;
using testing::ZipMember;

std::vector<ZipMember> two() { return {{.name = "a/x", .bytes = from_text("hello")}, {.name = "a/y", .bytes = from_text("wide world")}}; }

void refused(const std::string& part, const std::vector<ZipMember>& members) {
  const ByteVector file = zip_of(members);
  expect_error(part, [&] { parse_zip(file, "z"); });
}

TEST(Zip, EntriesAndTheirBytes) {
  const ByteVector file = zip_of(two());
  EXPECT_TRUE(is_zip(file));
  EXPECT_FALSE(is_zip(from_text("PK")));
  const std::vector<ZipEntry> entries = parse_zip(file, "z");
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[1].name, "a/y");
  EXPECT_EQ(ByteVector(entries[1].bytes.begin(), entries[1].bytes.end()), from_text("wide world"));
  EXPECT_TRUE(parse_zip(zip_of({}), "z").empty());
}

// What Python's zipfile wrote for an entry "a" = "hi" where everything is held in zip64 fields, byte for byte.
TEST(Zip, Zip64FieldsAreRead) {
  const ByteVector file = testing::from_hex(
      "504b0304 2d00 0000 0000 0000 2100 ac2a93d8 ffffffff ffffffff 0100 1400 61"
      "0100 1000 0200000000000000 0200000000000000  6869"
      "504b0102 2d03 2d00 0000 0000 0000 2100 ac2a93d8 ffffffff ffffffff 0100 1400 0000 0000 0000 00008001 00000000 61"
      "0100 1000 0200000000000000 0200000000000000"
      "504b0606 2c00000000000000 2d00 2d00 00000000 00000000 0100000000000000 0100000000000000 4300000000000000 3500000000000000"
      "504b0607 00000000 7800000000000000 01000000"
      "504b0506 0000 0000 0100 0100 43000000 35000000 0000");
  const std::vector<ZipEntry> entries = parse_zip(file, "z");
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(ByteVector(entries[0].bytes.begin(), entries[0].bytes.end()), from_text("hi"));
  testing::expect_length_checked(file, [](const ByteVector& f) { parse_zip(f, "z"); });
}

TEST(Zip, LengthIsChecked) {
  testing::expect_length_checked(zip_of(two()), [](const ByteVector& file) { parse_zip(file, "z"); });
}

TEST(Zip, FlipsAreRefusedOrSayNothing) {
  const ByteVector file = zip_of(two());
  const size_t accepted = testing::count_accepted_flips(file, [](const ByteVector& f) {
    const std::vector<ZipEntry> entries = parse_zip(f, "z");
    EXPECT_EQ(entries.size(), 2u);
    EXPECT_EQ(ByteVector(entries[0].bytes.begin(), entries[0].bytes.end()), from_text("hello"));
  });
  // Versions, times, flags, attributes and disk numbers (and the local copies of sizes and CRC, which nobody reads).
  EXPECT_LT(accepted, 2u * 8 * (4 + 28) + 2u * 8 * (30 - 10));
}

TEST(Zip, LiesAreRefused) {
  auto members = two();
  members[1].name = members[1].local_name = "a/x";
  refused("a/x is there twice", members);
  members = two();
  members[0].method = 8;
  refused("entry a/x is compressed (method 8, deflate)", members);
  members = two();
  members[0].flags = 1;
  refused("encrypted", members);
  members = two();
  members[1].crc_error = 4;
  refused("entry a/y: damaged: expected CRC-32", members);
  members = two();
  members[1].local_name = "a/z";
  refused("its local header at offset 38 says something else", members);
  members = two();
  members[0].local = 5;
  refused("expected a local header at offset 5", members);
  members = two();
  members[0].coded = 1 << 30;
  refused("stored in 1073741824 bytes, but 5 long", members);
  for (const uint32_t size : {uint32_t{80}, uint32_t{1} << 31, 0xfffffffeu}) {  // bombs: no file is that long
    members = two();
    members[0].coded = members[0].size = size;
    refused("entry a/x: " + std::to_string(size) + " bytes at offset 33 do not end before", members);
  }
}

// The second entry lies inside the first one's bytes, each of them sound for itself.
TEST(Zip, OverlapIsRefused) {
  const ByteVector inner = zip_of({{.name = "y", .bytes = from_text("in")}});
  std::vector<ZipMember> members = {{.name = "x", .bytes = inner}, {.name = "y", .bytes = from_text("in")}};
  members[1].local = 31;  // the local header of the inner archive
  refused("entry y overlaps x at offset 31", members);
}

}  // namespace
}  // namespace sixteen
