// A machine's measured GEMM algorithms in a text file (docs/FORMATS.md). See gemm_choice.h.
//
// Bites: a damaged line could name an algorithm that computes something else, so the last line is a SHA-256 of all before it.
#include <cctype>
#include <cstdlib>
#include <sstream>

#include "formats/error.h"
#include "formats/sha256.h"
#include "graph/gemm_choice.h"

namespace sixteen {
namespace {

constexpr const char* kMagic = "sixteen gemm cache 1";

std::string digest_line(const std::string& body) { return "sha256 " + to_hex(sha256(std::as_bytes(std::span(body)))) + "\n"; }

std::string product_line(const GemmKey& k, const GemmAlgorithm& algorithm) {
  std::ostringstream line;
  line << k.ta << ' ' << k.tb << ' ' << k.add << ' ' << k.wide;
  for (const int64_t n : {k.m, k.n, k.k, k.lda, k.ldb, k.ldc, k.batch, k.stride_a, k.stride_b, k.stride_c}) line << ' ' << n;
  line << " :";
  line << ' ' << algorithm.workspace << std::hex;
  for (const uint64_t word : algorithm.words) line << ' ' << word;
  return line.str() + "\n";
}

bool parse_product(const std::string& line, GemmKey* k, GemmAlgorithm* algorithm) {
  std::istringstream text(line);
  text >> k->ta >> k->tb >> k->add >> k->wide;
  for (int64_t* n : {&k->m, &k->n, &k->k, &k->lda, &k->ldb, &k->ldc, &k->batch, &k->stride_a, &k->stride_b, &k->stride_c}) text >> *n;
  std::string colon;
  text >> colon;
  text >> algorithm->workspace >> std::hex;
  for (uint64_t& word : algorithm->words) text >> word;
  std::string rest;
  return text && colon == ":" && !(text >> rest);
}

std::string folder_of_user() {
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  if (const std::string own = variable("SIXTEEN_CACHE"); !own.empty()) return own;
  if (const std::string xdg = variable("XDG_CACHE_HOME"); !xdg.empty()) return xdg + "/sixteen";
  const std::string home = variable("HOME");
  return home.empty() ? "" : home + "/.cache/sixteen";
}

}  // namespace

std::string gemm_cache_path(const std::string& library) {
  const std::string folder = folder_of_user();
  if (folder.empty()) return "";
  std::string name = library;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return folder + "/gemm_" + name + ".txt";
}

std::string gemm_cache_text(const GemmChoices& choices, const std::string& library) {
  std::string text = std::string(kMagic) + "\n" + library + "\n";
  for (const auto& [key, algorithm] : choices) text += product_line(key, algorithm);
  return text + digest_line(text);
}

GemmChoices parse_gemm_cache(const std::string& text, const std::string& library, const std::string& where) {
  const size_t last = text.rfind("sha256 ");
  if (text.rfind(kMagic, 0) != 0) fail(where, ": not a GEMM cache: expected '", kMagic, "' in line 1");
  if (last == std::string::npos || text[last - 1] != '\n' || text.substr(last) != digest_line(text.substr(0, last))) {
    fail(where, ": damaged: the last line is not the SHA-256 of those before it");
  }
  std::istringstream lines(text.substr(0, last));
  std::string line;
  std::getline(lines, line);
  std::getline(lines, line);
  if (line != library) fail(where, ": for '", line, "', but this is '", library, "'");
  GemmChoices choices;
  for (int number = 3; std::getline(lines, line); ++number) {
    GemmKey key;
    GemmAlgorithm algorithm;
    if (!parse_product(line, &key, &algorithm)) fail(where, ": line ", number, ": expected 14 numbers, ':', a number and 8 hexadecimal ones");
    choices[key] = algorithm;
  }
  return choices;
}

}  // namespace sixteen
