// Source text without what only people read: comments, indentation, blank lines, and parts that are marked as not counted.
//
// Knows C++'s tokens: what looks like a comment in a string, a raw string or a character stays. A line that ends in a backslash keeps its
// line break. Lines between "// uncounted: begin" and "// uncounted: end" serve programs that are not the evaluator; sources must
// compile without them.
#pragma once

#include <string>

namespace sixteen {

// C++ and CUDA. Throws Error naming `where` for an unfinished comment, string or uncounted part.
std::string strip_cpp(const std::string& text, const std::string& where);
// CMake, TOML: lines that are comments, indentation, blank lines.
std::string strip_hash_lines(const std::string& text);

}  // namespace sixteen
