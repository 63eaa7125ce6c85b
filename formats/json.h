// JSON objects out of files: nlohmann's parser behind our errors.
//
// Bites: the bare parser keeps the last of two equal keys and skips a byte order mark; here both are errors, since two
// readers could disagree about such a file.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace sixteen {

// Throws Error (where, byte of `text`, what) unless `text` is one JSON object in valid UTF-8.
nlohmann::json parse_json_object(std::string_view text, const std::string& where);

// The inverse, without blanks, keys sorted; invalid UTF-8 is replaced by U+FFFD.
std::string print_json(const nlohmann::json& value);

}  // namespace sixteen
