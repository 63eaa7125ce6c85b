// Where the golden data and texts live: SIXTEEN_SHARED, else "../shared" beside the project's root.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace sixteen::testing {

inline std::string shared_root() {
  const char* set = std::getenv("SIXTEEN_SHARED");
  return set != nullptr ? std::string(set) : std::string(SIXTEEN_SOURCE_DIR) + "/../shared";
}

inline std::string shared_path(const std::string& relative) { return shared_root() + "/" + relative; }

inline bool shared_exists(const std::string& relative) { return std::filesystem::exists(shared_path(relative)); }

}  // namespace sixteen::testing

// First line of a test that needs the shared data; skips loudly when it is not there.
#define REQUIRE_SHARED(relative)                                                                                     \
  do {                                                                                                               \
    if (!sixteen::testing::shared_exists(relative))                                                                  \
      GTEST_SKIP() << "golden data not found: " << sixteen::testing::shared_path(relative) << " (set SIXTEEN_SHARED)"; \
  } while (0)
