// Which of the matrix library's algorithms computes a product: keys, choices, the checked-in table and a machine's cache file.
//
// Three sources, in this order. A training graph's product takes (1) the algorithm measured for exactly its shape, when the
// trainer has been given a cache that `sixteen-train bench --tune` wrote; (2) the checked-in table's row, which `sixteen-eval
// bench --tune` measures; (3) the library's own first choice. A scoring graph's product takes (2) or (3), never (1), and is asked
// for without its number of rows, so that the same algorithm serves every batch.
// Bites: another algorithm is another order of sums, so other bits. Nothing is measured and no file is written unless --tune asks
// for it; a run and its repetition therefore agree, with a cache or without, as long as nobody tunes in between.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sixteen {

// cuBLASLt's own form of an algorithm, cublasLtMatmulAlgo_t: opaque, and good for one version of the library. (Its documented
// attributes, tile and the like, do not bring it back: cuBLASLt 13.1 refuses algorithms put together from them.)
struct GemmAlgorithm {
  std::array<uint64_t, 8> words{};
  int64_t workspace = 0;  // bytes
  auto operator<=>(const GemmAlgorithm&) const = default;
};

// A product c [m, n] (+)= op(a) op(b) with bf16 operands. Everything that a choice for training may depend on.
struct GemmKey {
  bool ta = false, tb = false, add = false, wide = false;  // wide: fp32 result
  int64_t m = 0, n = 0, k = 0, lda = 0, ldb = 0, ldc = 0;
  int64_t batch = 1, stride_a = 0, stride_b = 0, stride_c = 0;
  auto operator<=>(const GemmKey&) const = default;
};

using GemmChoices = std::map<GemmKey, GemmAlgorithm>;

// A row of the checked-in table: for products of every m on cards of one compute capability, with one version of the library.
struct GemmRow {
  int sm, version;  // 90: sm_90; as cublasLtGetVersion() says it
  bool tb, add, wide;
  int64_t n, k;
  GemmAlgorithm algorithm;
};

// What tuning found: choices for training shapes, rows for the table, and a line for people about each.
struct GemmMeasurement {
  GemmChoices training;
  std::vector<GemmRow> rows;
  std::vector<std::string> lines;
};

// --- the checked-in table (gemm_table_rows.h): one algorithm an (N, K, form), no split of K, the same for every M
std::optional<GemmAlgorithm> table_algorithm(int sm, int version, const GemmKey& key);  // none for transposed a and for batches
// Hash of the table's rows in hex: with equal digests, cards and libraries two programs score with the same algorithms.
std::string scoring_table_digest();
// gemm_table_rows.h with these rows; the present table's rows of other cards and versions are kept.
std::string table_source(const std::vector<GemmRow>& rows);

// --- the cache file: text, one product a line, for one card and one version of the library (FORMATS.md)
// $SIXTEEN_CACHE, else $XDG_CACHE_HOME/sixteen, else ~/.cache/sixteen; "" when no such variable is set.
std::string gemm_cache_path(const std::string& library);
std::string gemm_cache_text(const GemmChoices& choices, const std::string& library);
// Throws Error (`where`, line, what) on anything but such a file for that library.
GemmChoices parse_gemm_cache(const std::string& text, const std::string& library, const std::string& where);

}  // namespace sixteen
