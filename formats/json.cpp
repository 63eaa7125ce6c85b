// One place that knows nlohmann's exceptions and callback.
#include "formats/json.h"

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "formats/error.h"

namespace sixteen {

constexpr int kMaxDepth = 32;  // printing recurses; no format here goes beyond 6

nlohmann::json parse_json_object(std::string_view text, const std::string& where) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{') fail(where, ": expected a JSON object");
  // The parser takes a NUL for the end of its input and would skip whatever follows.
  const size_t nul = text.find('\0');
  if (nul != std::string_view::npos) fail(where, ": byte ", nul + 1, ": malformed JSON");
  std::vector<std::set<std::string>> open_objects;
  const auto refuse_twins = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    if (depth > kMaxDepth) fail(where, ": JSON nested more than ", kMaxDepth, " deep");
    if (event == nlohmann::json::parse_event_t::object_start) open_objects.emplace_back();
    if (event == nlohmann::json::parse_event_t::object_end) open_objects.pop_back();
    if (event == nlohmann::json::parse_event_t::key) {
      const std::string& key = parsed.get_ref<const std::string&>();
      if (!open_objects.back().insert(key).second) fail(where, ": JSON key \"", key, "\" appears twice in one object");
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text, refuse_twins);
  } catch (const nlohmann::json::parse_error& error) {
    fail(where, ": byte ", error.byte, ": malformed JSON");
  }
}

std::string print_json(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace sixteen
