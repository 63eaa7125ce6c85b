// The rules of rules.h. This file spells the markers it forbids in two parts, so as not to find itself.
#include "tests/tidy/rules.h"

#include <algorithm>
#include <regex>
#include <set>
#include <sstream>

#include "tests/tidy/scan.h"

namespace sixteen::tidy {
namespace {

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  std::istringstream stream{std::string(text)};
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string first_folder(const std::string& path) { return path.substr(0, path.find('/')); }

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// What each folder may include.
const std::map<std::string, std::set<std::string>>& arrows() {
  static const std::map<std::string, std::set<std::string>> table = {
      {"formats", {"formats"}},
      {"graph", {"formats", "graph"}},
      {"model", {"formats", "graph", "model"}},
      {"trainer", {"formats", "graph", "model", "trainer"}},
      {"packer", {"formats", "graph", "model", "packer"}},
      {"evaluator", {"formats", "graph", "model", "evaluator"}},
      {"tests", {"formats", "graph", "model", "trainer", "packer", "evaluator", "tests"}},
  };
  return table;
}

bool may_include_cuda(const std::string& path) {
  return path.rfind("graph/cuda/", 0) == 0 || path.rfind("tests/graph/", 0) == 0;
}

void add(Findings* findings, const std::string& path, size_t line, const std::string& what) {
  findings->push_back({path + ":" + std::to_string(line), what});
}

}  // namespace

std::string to_text(const Findings& findings) {
  std::string text;
  for (const Finding& finding : findings) text += finding.where + ": " + finding.what + "\n";
  return text;
}

bool is_header(std::string_view path) { return ends_with(path, ".h") || ends_with(path, ".cuh"); }
bool is_source(std::string_view path) { return is_header(path) || ends_with(path, ".cpp") || ends_with(path, ".cu"); }

Findings check_includes(const std::string& path, std::string_view text) {
  static const std::regex quoted(R"(^\s*#\s*include\s*\"([^\"]*)\")");
  static const std::regex cuda(
      R"(^\s*#\s*include\s*[<\"](cuda|cublas|cusolver|curand|nccl|cooperative_groups|mma\.h|cub/|cutlass/|cute/))");
  Findings findings;
  // Directives that a comment or a raw string contains are not there in the blanked text; the line itself has the path.
  const std::vector<std::string> code = split_lines(blank_text(text, true));
  const std::vector<std::string> lines = split_lines(text);
  const auto allowed = arrows().find(first_folder(path));
  for (size_t i = 0; i < lines.size(); ++i) {
    if (code[i].find("include") == std::string::npos || code[i].find('#') == std::string::npos) continue;
    if (std::regex_search(lines[i], cuda) && !may_include_cuda(path))
      add(&findings, path, i + 1, "CUDA and NCCL headers belong into graph/cuda");
    std::smatch match;
    if (!std::regex_search(lines[i], match, quoted)) continue;
    const std::string target = match[1];
    const std::string folder = first_folder(target);
    if (arrows().count(folder) == 0 || target.find('/') == std::string::npos)
      add(&findings, path, i + 1,
          "\"" + target + "\" must be written from the project's root, or in <> if it is not ours");
    else if (allowed != arrows().end() && allowed->second.count(folder) == 0)
      add(&findings, path, i + 1, first_folder(path) + " must not include " + folder + " (" + target + ")");
  }
  return findings;
}

Findings check_lengths(const std::string& path, std::string_view text) {
  Findings findings;
  const size_t lines = split_lines(text).size();
  if (lines > kMaxFileLines)
    findings.push_back({path, std::to_string(lines) + " lines, at most " + std::to_string(kMaxFileLines)});
  if (!balanced(text)) findings.push_back({path, "braces or parentheses do not match; functions cannot be measured"});
  for (const Function& function : find_functions(text)) {
    if (function.lines > kMaxFunctionLines)
      findings.push_back({path + ":" + function.name, std::to_string(function.lines) + " lines from line " +
                                                          std::to_string(function.first_line) + " on, at most " +
                                                          std::to_string(kMaxFunctionLines)});
  }
  return findings;
}

Findings check_text(const std::string& path, std::string_view text) {
  static const std::regex marker(std::string("\\b(TO") + "DO|FIX" + "ME|XX" + "X)\\b");
  Findings findings;
  const std::vector<std::string> lines = split_lines(text);
  const size_t first = text.find_first_not_of(" \n");
  const std::string_view opening = first == std::string_view::npos ? std::string_view() : text.substr(first, 2);
  const bool comment = is_source(path) ? opening == "//" || opening == "/*" : opening.substr(0, 1) == "#";
  if (!comment) add(&findings, path, 1, "must open with a comment: what it is for and what bites");
  if (is_header(path) && std::find(lines.begin(), lines.end(), "#pragma once") == lines.end())
    add(&findings, path, 1, "a header needs #pragma once");
  for (size_t i = 0; i < lines.size(); ++i) {
    if (std::regex_search(lines[i], marker)) add(&findings, path, i + 1, "unfinished work is not committed");
    if (lines[i].find('\t') != std::string::npos) add(&findings, path, i + 1, "tab");
    if (lines[i].find('\r') != std::string::npos) add(&findings, path, i + 1, "carriage return");
    if (ends_with(lines[i], " ")) add(&findings, path, i + 1, "blanks at the line's end");
  }
  if (!text.empty() && text.back() != '\n') add(&findings, path, lines.size(), "no line break at the file's end");
  return findings;
}

Findings check_path(const std::string& path) {
  static const std::regex vague(R"((^|/)(utils?|common|helpers?|misc)(/|\.[a-z]+$))");
  if (!std::regex_search(path, vague)) return {};
  return {{path, "a name that says nothing; put it where its subject lives"}};
}

Findings check_build_lists(const std::vector<std::string>& sources, std::string_view cmake) {
  Findings findings;
  std::set<std::string> named;
  std::string list, previous;
  for (std::string line : split_lines(cmake)) {
    line = line.substr(0, line.find('#'));
    static const std::regex opens(R"(^\s*set\((\w*(_SOURCES|BENCH_PROGRAMS|FUZZ_TARGETS)|TESTS_\w+)\s*$)");
    std::smatch match;
    if (std::regex_search(line, match, opens)) list = match[1], previous.clear();
    std::replace_if(
        line.begin(), line.end(), [](char c) { return c == '(' || c == ')' || c == ';'; }, ' ');
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (!is_source(word)) continue;
      named.insert(word);
      if (!list.empty() && word <= previous)
        findings.push_back({"CMakeLists.txt", list + ": " + word + " is out of order"});
      previous = word;
    }
    if (line.find_first_not_of(" \t") == std::string::npos) list.clear();
  }
  for (const std::string& source : sources)
    if (!is_header(source) && named.count(source) == 0) findings.push_back({source, "is in no list of CMakeLists.txt"});
  return findings;
}

Findings apply_exceptions(const Findings& findings, std::string_view exceptions) {
  constexpr size_t kShortestReason = 20;
  Findings left;
  std::set<std::string> excused;
  for (const std::string& line : split_lines(exceptions)) {
    std::istringstream words(line);
    std::string key, reason;
    words >> key >> std::ws;
    std::getline(words, reason);
    if (key.empty() || key[0] == '#') continue;
    const bool used = std::any_of(findings.begin(), findings.end(), [&](const Finding& f) { return f.where == key; });
    if (!used) left.push_back({key, "stale exception: nothing to excuse"});
    if (reason.size() < kShortestReason) left.push_back({key, "an exception needs a reason behind it"});
    excused.insert(key);
  }
  for (const Finding& finding : findings)
    if (excused.count(finding.where) == 0) left.push_back(finding);
  return left;
}

}  // namespace sixteen::tidy
