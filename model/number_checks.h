// Checks of numbers on the command line: CLI11's own ones name the largest double, 309 digits, as the end of the range.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace sixteen {

// positive: 0 is refused too. name: what the help shows beside the type.
inline CLI::Validator number_check(bool positive, const char* name) {
  const auto check = [positive](const std::string& text) {
    double value = 0;
    if (!CLI::detail::lexical_cast(text, value)) return "expected a number, found " + text;
    const bool good = positive ? value > 0 : value >= 0;
    return good ? std::string() : std::string("expected ") + (positive ? "more than 0" : "0 or more") + ", found " + text;
  };
  return {check, name};
}

inline const CLI::Validator kPositive = number_check(true, "POSITIVE");
inline const CLI::Validator kNonNegative = number_check(false, "NONNEGATIVE");

}  // namespace sixteen
