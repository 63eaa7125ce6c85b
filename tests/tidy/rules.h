// The house rules, each a function from a file's path and text to its findings, so that the rules are tested themselves.
//
// Bites: paths are relative to the project's root, with '/'. docs/DESIGN.md 1 and CONTRIBUTING.md say the same in prose.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sixteen::tidy {

constexpr int kMaxFileLines = 400;
constexpr int kMaxFunctionLines = 70;
constexpr long kMaxBlobBytes = 256 * 1024;

struct Finding {
  std::string where;  // "path:line", or "path:function" for a long function, "path" for a long file
  std::string what;
};
using Findings = std::vector<Finding>;

// One finding a line, for a failed assertion.
std::string to_text(const Findings& findings);

bool is_source(std::string_view path);  // .h .cpp .cu .cuh
bool is_header(std::string_view path);  // .h .cuh

// Arrows: formats <- graph <- model <- {trainer, packer, evaluator}; tests include anything, nothing includes tests; quoted
// includes start at the root; headers of CUDA and NCCL in graph/cuda (and tests/graph) only.
Findings check_includes(const std::string& path, std::string_view text);

// Longer than kMaxFileLines, functions longer than kMaxFunctionLines, braces that the scanner cannot match.
Findings check_lengths(const std::string& path, std::string_view text);

// An opening comment, #pragma once in headers, no markers of unfinished work, no tabs, no blanks at a line's end, a line
// break at the end.
Findings check_text(const std::string& path, std::string_view text);

// Folder names that say nothing.
Findings check_path(const std::string& path);

// Sources on disk that no list of CMakeLists.txt names, and lists out of alphabetical order.
Findings check_build_lists(const std::vector<std::string>& sources, std::string_view cmake);

// Drops the findings that an exception ("path reason" or "path:function reason", # for comments) names, and adds one for
// every exception that is stale or gives no reason.
Findings apply_exceptions(const Findings& findings, std::string_view exceptions);

}  // namespace sixteen::tidy
