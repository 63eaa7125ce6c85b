// Sources compiled per instruction set must share no function with the rest of the program (graph/cpu/isa.h): the
// linker would keep one copy, perhaps the AVX-512 one, and a smaller machine would die of it. Looks for such symbols
// with nm.
//
// Bites: reads the object files of the build folder; a generator that puts them elsewhere makes the test skip.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

namespace sixteen::cpu {
namespace {

namespace fs = std::filesystem;

std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return text;
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) text.append(buffer, n);
  return pclose(pipe) == 0 ? text : std::string();
}

// Lines of nm's listing that name a symbol shared between objects (weak or unique) outside namespace `isa`.
std::vector<std::string> shared_symbols(const std::string& listing, const std::string& isa) {
  std::vector<std::string> found;
  std::istringstream lines(listing);
  for (std::string line; std::getline(lines, line);) {
    const bool shared = line.find(" W ") != std::string::npos || line.find(" V ") != std::string::npos ||
                        line.find(" u ") != std::string::npos;
    const bool pointer = line.find("DW.ref.") != std::string::npos;  // to the exception handler, in sanitised builds
    if (shared && !pointer && line.find("sixteen::cpu::" + isa + "::") == std::string::npos) found.push_back(line);
  }
  return found;
}

TEST(IsaObjects, ShareNoFunctionWithTheRest) {
  int objects = 0;
  for (const std::string target : {"sixteen_graph_avx2", "sixteen_graph_avx512", "sixteen_packer_avx2", "sixteen_packer_avx512"}) {
    const fs::path folder = fs::path(SIXTEEN_BINARY_DIR) / "CMakeFiles" / (target + ".dir");
    const std::string isa = target.substr(target.rfind('_') + 1);
    if (!fs::exists(folder)) continue;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.path().extension() != ".o") continue;
      const std::string listing = output_of("nm -C --defined-only '" + entry.path().string() + "' 2>/dev/null");
      if (listing.empty()) continue;
      ++objects;
      for (const std::string& line : shared_symbols(listing, isa)) ADD_FAILURE() << entry.path() << ": " << line;
    }
  }
  if (objects == 0) GTEST_SKIP() << "no object files (or no nm) under " << SIXTEEN_BINARY_DIR;
}

TEST(IsaObjects, TheSearchFindsWhatItLooksFor) {
  const std::string listing =
      "0000 W float const& std::max<float>(float const&, float const&)\n"
      "0010 W sixteen::cpu::avx2::Lanes<float> sixteen::cpu::avx2::exp(sixteen::cpu::avx2::Lanes<float>)\n"
      "0020 T sixteen::cpu::avx2::row_kernels()\n";
  EXPECT_EQ(shared_symbols(listing, "avx2").size(), 1u);
  EXPECT_EQ(shared_symbols(listing, "avx512").size(), 2u);
}

}  // namespace
}  // namespace sixteen::cpu
