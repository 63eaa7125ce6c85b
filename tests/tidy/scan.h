// Just enough of C++ to measure functions: text without comments and literals, and where each function begins and ends.
//
// Bites: this is brace matching, not parsing. Preprocessor lines are blanked, so a body that opens in one #if branch and
// closes in another does not balance (balanced() says so). Lambdas and local classes belong to the function around them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sixteen::tidy {

struct Function {
  std::string name;    // as written, with its qualification: "Parser::read"; "Suite.Case" for gtest's TEST macros
  int first_line = 0;  // 1-based, of the first word of the declaration (template<> and attributes included)
  int lines = 0;       // up to and including the closing brace's line
};

// `source` with comments and the insides of literals as blanks; same length, same line breaks. With keep_directives
// false, preprocessor lines (and their continuations) are blanked too.
std::string blank_text(std::string_view source, bool keep_directives = false);

// Every function with a body, in order of their closing braces.
std::vector<Function> find_functions(std::string_view source);

// Whether braces and parentheses of the blanked text match.
bool balanced(std::string_view source);

}  // namespace sixteen::tidy
