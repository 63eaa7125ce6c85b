// The cache file of measured products and the checked-in table: round trip, damage, digest, source text.
#include "graph/gemm_choice.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "formats/error.h"
#include "graph/gemm_table_rows.h"

namespace sixteen {
namespace {

constexpr const char* kLibrary = "NVIDIA H200, cublasLt 130003";

GemmChoices choices() {
  GemmChoices result;
  result[{.tb = true, .m = 98304, .n = 512, .k = 2048, .lda = 2048, .ldb = 2048, .ldc = 512}] = {{66, ~0ull, 1, 0, 1, 7, 36, 3}, 0};
  result[{.ta = true, .add = true, .wide = true, .m = 512, .n = 512, .k = 98304, .lda = 512, .ldb = 512, .ldc = 512}] = {{66, 20, 4, 2}, 1 << 20};
  result[{.m = 512, .n = 512, .k = 512, .lda = 512, .ldb = 512, .ldc = 512, .batch = 22, .stride_a = 1, .stride_b = 2, .stride_c = 3}] = {{21}, 0};
  return result;
}

std::string message(const std::string& text, const std::string& library = kLibrary) {
  try {
    parse_gemm_cache(text, library, "gemm.txt");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(GemmCache, ComesBackAsItWasWritten) {
  EXPECT_EQ(parse_gemm_cache(gemm_cache_text(choices(), kLibrary), kLibrary, "gemm.txt"), choices());
  EXPECT_TRUE(parse_gemm_cache(gemm_cache_text({}, kLibrary), kLibrary, "gemm.txt").empty());
}

TEST(GemmCache, RefusesDamageAnywhere) {
  const std::string text = gemm_cache_text(choices(), kLibrary);
  for (size_t size = 0; size < text.size(); ++size) EXPECT_NE(message(text.substr(0, size)), "") << size << " bytes";
  for (size_t i = 0; i < text.size(); ++i) {
    std::string damaged = text;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_NE(message(damaged), "") << "byte " << i;
  }
  EXPECT_NE(message(text + "x"), "");
  EXPECT_EQ(message(text), "");
}

TEST(GemmCache, SaysWhatIsWrong) {
  const std::string text = gemm_cache_text(choices(), kLibrary);
  EXPECT_EQ(message("pickle"), "gemm.txt: not a GEMM cache: expected 'sixteen gemm cache 1' in line 1");
  EXPECT_EQ(message(text.substr(0, text.size() - 9)), "gemm.txt: damaged: the last line is not the SHA-256 of those before it");
  EXPECT_EQ(message(text, "NVIDIA A100, cublasLt 130003"),
            "gemm.txt: for 'NVIDIA H200, cublasLt 130003', but this is 'NVIDIA A100, cublasLt 130003'");
}

TEST(GemmCache, LivesInTheFolderThatTheUserNames) {
  setenv("SIXTEEN_CACHE", "/somewhere", 1);
  EXPECT_EQ(gemm_cache_path(kLibrary), "/somewhere/gemm_NVIDIA_H200__cublasLt_130003.txt");
  unsetenv("SIXTEEN_CACHE");
  setenv("XDG_CACHE_HOME", "/xdg", 1);
  EXPECT_EQ(gemm_cache_path(kLibrary), "/xdg/sixteen/gemm_NVIDIA_H200__cublasLt_130003.txt");
  unsetenv("XDG_CACHE_HOME");
}

TEST(GemmTable, GivesOneAlgorithmForEveryM) {
  for (const GemmRow& r : kGemmTable) {
    GemmKey key{.tb = r.tb, .add = r.add, .wide = r.wide, .n = r.n, .k = r.k};
    for (const int64_t m : {1, 100, 98304}) {
      key.m = m;
      EXPECT_EQ(table_algorithm(r.sm, r.version, key), r.algorithm);
    }
    EXPECT_EQ(table_algorithm(r.sm - 1, r.version, key), std::nullopt);
    EXPECT_EQ(table_algorithm(r.sm, r.version + 1, key), std::nullopt);
    key.ta = true;
    EXPECT_EQ(table_algorithm(r.sm, r.version, key), std::nullopt);
  }
  EXPECT_EQ(table_algorithm(90, 130003, {.tb = true, .m = 1, .n = 24, .k = 40}), std::nullopt);
}

TEST(GemmTable, DigestIsThatOfTheRows) {
  EXPECT_EQ(scoring_table_digest().size(), 64u);
  EXPECT_EQ(scoring_table_digest(), scoring_table_digest());
}

TEST(GemmTable, WritesItsOwnSource) {
  const std::vector<GemmRow> rows = {{120, 7, true, false, true, 8192, 512, {{66, 5, 1}, 0}}, {120, 7, true, false, false, 256, 512, {{66, 4, 1}, 0}}};
  const std::string source = table_source(rows);
  const size_t small = source.find("    {120, 7, true, false, false, 256, 512,\n     {{0x42, 0x4, 0x1, 0x0, 0x0, 0x0, 0x0, 0x0}, 0}},\n");
  const size_t large = source.find("    {120, 7, true, false, true, 8192, 512,\n     {{0x42, 0x5, 0x1, 0x0, 0x0, 0x0, 0x0, 0x0}, 0}},\n");
  ASSERT_NE(small, std::string::npos);
  ASSERT_NE(large, std::string::npos);
  EXPECT_LT(small, large);
  for (const GemmRow& r : kGemmTable) {  // other cards' rows stay
    EXPECT_NE(source.find("    {" + std::to_string(r.sm) + ", "), std::string::npos);
  }
}

}  // namespace
}  // namespace sixteen
