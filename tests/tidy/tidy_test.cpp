// The house rules applied to this tree: one test a rule, findings as "path:line: what".
//
// Bites: it walks the disk, not the index, so that a file is checked before it is committed; blobs are git's.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "tests/tidy/rules.h"

namespace sixteen::tidy {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = SIXTEEN_SOURCE_DIR;

std::string read_text(const std::string& path) {
  std::ifstream file(kRoot / path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// All files under the project's folders, sorted, relative to the root.
const std::vector<std::string>& tree() {
  static const std::vector<std::string> files = [] {
    std::vector<std::string> found;
    for (const char* folder :
         {"formats", "graph", "model", "trainer", "packer", "evaluator", "tests", "configs", "docs"}) {
      if (!fs::exists(kRoot / folder)) continue;
      for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder))
        if (entry.is_regular_file()) found.push_back(fs::relative(entry.path(), kRoot).generic_string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }();
  return files;
}

std::vector<std::string> sources() {
  std::vector<std::string> found;
  std::copy_if(tree().begin(), tree().end(), std::back_inserter(found),
               [](const std::string& p) { return is_source(p); });
  return found;
}

template <class Rule>
Findings over(const std::vector<std::string>& paths, Rule rule) {
  Findings all;
  for (const std::string& path : paths) {
    const Findings some = rule(path, read_text(path));
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

void expect_none(const Findings& findings) { EXPECT_TRUE(findings.empty()) << to_text(findings); }

TEST(Tidy, TheTreeIsThere) {
  const std::vector<std::string> all = sources();
  EXPECT_GT(all.size(), 20u);
  EXPECT_NE(std::find(all.begin(), all.end(), "formats/error.h"), all.end());
}

TEST(Tidy, IncludesFollowTheArrows) { expect_none(over(sources(), check_includes)); }

TEST(Tidy, FilesAndFunctionsAreShort) {
  expect_none(apply_exceptions(over(sources(), check_lengths), read_text("tests/tidy/exceptions.txt")));
}

TEST(Tidy, SourcesOpenWithACommentAndAreClean) {
  std::vector<std::string> paths = sources();
  for (const std::string& path : tree())
    if (path.rfind("configs/", 0) == 0) paths.push_back(path);
  paths.insert(paths.end(), {"CMakeLists.txt", ".ci/run", ".clang-format", ".clang-tidy"});
  expect_none(over(paths, check_text));
}

TEST(Tidy, FolderNamesMeanSomething) {
  expect_none(over(tree(), [](const std::string& path, const std::string&) { return check_path(path); }));
}

TEST(Tidy, TheBuildListsEverySource) { expect_none(check_build_lists(sources(), read_text("CMakeLists.txt"))); }

// Standard output of a shell command run in the root, and its exit status.
std::pair<std::string, int> run(const std::string& command) {
  FILE* pipe = popen(("cd '" + kRoot.string() + "' && " + command).c_str(), "r");
  if (pipe == nullptr) return {"", -1};
  std::string output;
  std::array<char, 4096> buffer;
  for (size_t got; (got = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) output.append(buffer.data(), got);
  return {output, pclose(pipe)};
}

TEST(Tidy, NoLargeBlobIsCommitted) {
  if (!fs::exists(kRoot / ".git") || run("command -v git").second != 0) GTEST_SKIP() << "not a git checkout, or no git";
  // The index and every commit that leads here: a blob that was added and removed again still makes clones slow.
  const std::string git = "git -c safe.directory='*' ";
  const auto [listing, status] = run("{ " + git + "rev-list --objects HEAD; " + git +
                                     "ls-files -s | cut -d' ' -f2- | cut -f1 | cut -d' ' -f1; } | " + git +
                                     "cat-file --batch-check='%(objecttype) %(objectsize) %(rest)'");
  ASSERT_EQ(status, 0);
  std::istringstream lines(listing);
  int blobs = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string type, path;
    long bytes = 0;
    words >> type >> bytes >> path;
    if (type != "blob") continue;
    ++blobs;
    EXPECT_LE(bytes, kMaxBlobBytes) << path;
  }
  EXPECT_GT(blobs, 20);
}

}  // namespace
}  // namespace sixteen::tidy
