// The checked-in table: look-up, digest, and its source text. See gemm_choice.h.
#include <algorithm>
#include <sstream>

#include "formats/sha256.h"
#include "graph/gemm_table_rows.h"

namespace sixteen {
namespace {

std::string row_text(const GemmRow& r) {
  std::ostringstream text;
  text << std::boolalpha << "{" << r.sm << ", " << r.version << ", " << r.tb << ", " << r.add << ", " << r.wide << ", " << r.n << ", " << r.k << ",\n     {{";
  text << std::hex;
  for (size_t i = 0; i < r.algorithm.words.size(); ++i) text << (i > 0 ? ", " : "") << "0x" << r.algorithm.words[i];
  text << std::dec << "}, " << r.algorithm.workspace << "}}";
  return text.str();
}

auto place(const GemmRow& r) { return std::tuple(r.sm, r.version, !r.tb, r.add, r.wide, r.n, r.k); }

}  // namespace

std::optional<GemmAlgorithm> table_algorithm(int sm, int version, const GemmKey& key) {
  if (key.ta || key.batch != 1) return std::nullopt;
  for (const GemmRow& r : kGemmTable) {
    if (r.sm == sm && r.version == version && r.tb == key.tb && r.add == key.add && r.wide == key.wide && r.n == key.n && r.k == key.k) {
      return r.algorithm;
    }
  }
  return std::nullopt;
}

std::string scoring_table_digest() {
  std::string text;
  for (const GemmRow& r : kGemmTable) text += row_text(r) + "\n";
  return to_hex(sha256(std::as_bytes(std::span(text))));
}

std::string table_source(const std::vector<GemmRow>& rows) {
  std::vector<GemmRow> all = rows;
  for (const GemmRow& old : kGemmTable) {
    if (std::none_of(rows.begin(), rows.end(), [&](const GemmRow& r) { return r.sm == old.sm && r.version == old.version; })) all.push_back(old);
  }
  std::sort(all.begin(), all.end(), [](const GemmRow& a, const GemmRow& b) { return place(a) < place(b); });
  std::string text =
      "// Rows of the checked-in GEMM table (gemm_choice.h), written by `sixteen-eval bench --tune`. Changing a row changes the bits of\n"
      "// scores on that card, and scoring_table_digest() with them.\n"
      "#pragma once\n\n#include \"graph/gemm_choice.h\"\n\nnamespace sixteen {\n\n"
      "// sm, version, tb, add, wide, n, k, algorithm\n"
      "inline const std::vector<GemmRow> kGemmTable = {\n";
  for (const GemmRow& r : all) text += "    " + row_text(r) + ",\n";
  return text + "};\n\n}  // namespace sixteen\n";
}

}  // namespace sixteen
