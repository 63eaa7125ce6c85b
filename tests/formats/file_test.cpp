// Outputs appear complete or not at all: full disk, unwritable folder, forgotten commit, devices, links; and SHA-256.
#include "formats/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "formats/sha256.h"
#include "tests/support/bytes.h"
#include "tests/support/scratch.h"

namespace sixteen {
namespace {

using testing::error_of;
using testing::expect_error;
using testing::Scratch;

TEST(File, WritesReadsAndReplaces) {
  const Scratch scratch;
  const std::string path = scratch.path("a.bin");
  write_file(path, "one");
  {
    OutputFile file(path);
    file.write("xxxx rest");
    file.write_at(0, "two ", 4);
    EXPECT_EQ(file.size(), 9u);
    EXPECT_EQ(read_text_file(path), "one");  // untouched until commit
    file.commit();
  }
  EXPECT_EQ(read_text_file(path), "two  rest");
  EXPECT_EQ(scratch.count(), 1u);
}

TEST(File, WithoutCommitNothingIsLeft) {
  const Scratch scratch;
  write_file(scratch.path("a"), "old");
  { OutputFile(scratch.path("a")).write("new"); }
  { OutputFile(scratch.path("b")).write("new"); }
  EXPECT_EQ(read_text_file(scratch.path("a")), "old");
  EXPECT_EQ(scratch.count(), 1u);
}

TEST(File, MappingMovesAndEmptyFilesAreEmpty) {
  const Scratch scratch;
  write_file(scratch.path("a"), "content");
  write_file(scratch.path("empty"), "");
  MappedFile first(scratch.path("a"));
  MappedFile second(std::move(first));
  EXPECT_EQ(second.bytes().size(), 7u);
  MappedFile third(scratch.path("empty"));
  EXPECT_TRUE(third.bytes().empty());
  third = std::move(second);
  EXPECT_EQ(third.bytes().size(), 7u);
  EXPECT_EQ(third.path(), scratch.path("a"));
  EXPECT_EQ(static_cast<char>(third.bytes()[0]), 'c');
}

TEST(File, RefusesWhatCannotBeRead) {
  const Scratch scratch;
  expect_error("No such file", [&] { MappedFile file(scratch.path("none")); });
  expect_error("found a folder", [&] { MappedFile file(scratch.folder()); });
  expect_error("regular file", [] { MappedFile file("/dev/null"); });
}

TEST(File, RefusesWhatCannotBeWritten) {
  const Scratch scratch;
  expect_error("No such file", [&] { OutputFile file(scratch.path("none/x")); });
  expect_error("found a folder", [&] { OutputFile file(scratch.folder()); });
  if (geteuid() == 0) return;  // root may write anywhere
  write_file(scratch.path("locked"), "old");
  chmod(scratch.path("locked").c_str(), 0444);
  expect_error("cannot overwrite", [&] { OutputFile file(scratch.path("locked")); });
  chmod(scratch.folder().c_str(), 0555);
  expect_error("cannot create", [&] { OutputFile file(scratch.path("new")); });
  chmod(scratch.folder().c_str(), 0755);
}

TEST(File, FullDeviceIsAnErrorAndTheDeviceStaysOne) {
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full here";
  expect_error("No space left", [] { write_file("/dev/full", "x"); });
  write_file("/dev/null", "x");
  struct stat status {};
  ASSERT_EQ(stat("/dev/null", &status), 0);
  EXPECT_TRUE(S_ISCHR(status.st_mode));
}

TEST(File, FullDiskLeavesTheOldFile) {
  const Scratch scratch;
  write_file(scratch.path("a"), "old");
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string message = error_of([&] { write_file(scratch.path("a"), std::string(10000, 'n')); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(message.find("a: cannot write"), std::string::npos) << message;
  EXPECT_EQ(read_text_file(scratch.path("a")), "old");
  EXPECT_EQ(scratch.count(), 1u);
}

TEST(File, FollowsALinkInsteadOfReplacingIt) {
  const Scratch scratch;
  write_file(scratch.path("target"), "old");
  ASSERT_EQ(symlink(scratch.path("target").c_str(), scratch.path("link").c_str()), 0);
  write_file(scratch.path("link"), "new");
  EXPECT_EQ(read_text_file(scratch.path("target")), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(scratch.path("link")));
}

TEST(File, GlobSortsAndFailsOnNothing) {
  const Scratch scratch;
  for (const char* name : {"b_2.bin", "b_10.bin", "a.bin", "b_1.bin", "odd[1].bin"}) write_file(scratch.path(name), "x");
  const std::vector<std::string> expected = {scratch.path("b_1.bin"), scratch.path("b_10.bin"), scratch.path("b_2.bin")};
  EXPECT_EQ(glob_files(scratch.path("b_*.bin")), expected);
  EXPECT_EQ(glob_files(scratch.path("odd[1].bin")), std::vector<std::string>{scratch.path("odd[1].bin")});
  expect_error("no such file", [&] { glob_files(scratch.path("c_*.bin")); });
  expect_error("no such file", [&] { glob_files(scratch.path("no folder/c_*.bin")); });
}

TEST(Sha256Test, StandardVectors) {  // FIPS 180-2, appendix B
  EXPECT_EQ(to_hex(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(sha256(testing::from_text("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256Stream stream;
  const auto block = testing::from_text(std::string(1000, 'a'));
  for (int i = 0; i < 1000; ++i) stream.update(block);
  EXPECT_EQ(to_hex(stream.finish()), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

}  // namespace
}  // namespace sixteen
