// TOML through toml++ (3.3), with every complaint on one line as file:line:column.
//
// Bites: a section remembers what was asked of it, so finish() must come after the last read().
#include "formats/config_file.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <toml++/toml.h>

#include "formats/error.h"
#include "formats/file.h"

namespace sixteen {

struct Section::Data {
  std::shared_ptr<toml::table> root;  // keeps `table` alive
  const toml::table* table = nullptr;  // nullptr: absent, hence empty
  std::string file;
  std::string path;  // "train.loop", "" for the file itself
  std::vector<std::string> known;

  // The value of a key, marked as known; nullptr when absent.
  const toml::node* ask(const std::string& key) {
    if (std::find(known.begin(), known.end(), key) == known.end()) known.push_back(key);
    return table == nullptr ? nullptr : table->get(key);
  }

  std::string full_name(const std::string& key) const { return path.empty() ? key : path + "." + key; }

  // "file:line:column: section.key: "
  std::string where(const toml::node& node, const std::string& key) const {
    const toml::source_position at = node.source().begin;
    return file + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) + ": " + full_name(key) + ": ";
  }
};

namespace {

using Data = Section::Data;

[[noreturn]] void refuse(const Data& data, const toml::node& node, const std::string& key, const std::string& expected) {
  std::ostringstream type;
  type << node.type();
  fail(data.where(node, key), "expected ", expected, ", found ",
       node.is_string() ? "the string \"" + **node.as_string() + "\"" : "a value of type " + type.str());
}

template <class Integer>
void read_integer(Data* data, const std::string& key, Integer* value) {
  const toml::node* node = data->ask(key);
  if (node == nullptr) return;
  const auto* integer = node->as_integer();
  if (integer == nullptr) refuse(*data, *node, key, "an integer");
  const int64_t found = integer->get();
  if (found < std::numeric_limits<Integer>::min() || found > std::numeric_limits<Integer>::max()) {
    fail(data->where(*node, key), "expected an integer of ", 8 * sizeof(Integer), " bits, found ", found);
  }
  *value = static_cast<Integer>(found);
}

// A finite number, written as an integer or a float.
template <class Float>
std::optional<Float> finite_number(const toml::node& node) {
  const std::optional<double> found = node.is_number() ? node.value<double>() : std::nullopt;
  if (!found || !std::isfinite(static_cast<Float>(*found))) return std::nullopt;
  return static_cast<Float>(*found);
}

template <class Float>
void read_float(Data* data, const std::string& key, Float* value) {
  const toml::node* node = data->ask(key);
  if (node == nullptr) return;
  const std::optional<Float> found = finite_number<Float>(*node);
  if (!found) refuse(*data, *node, key, "a finite number");
  *value = *found;
}

// A value of exactly one TOML type.
template <class Value>
void read_exact(Data* data, const std::string& key, const char* expected, Value* value) {
  const toml::node* node = data->ask(key);
  if (node == nullptr) return;
  const auto found = node->value_exact<Value>();
  if (!found) refuse(*data, *node, key, expected);
  *value = *found;
}

// take(node) gives an element's value, or nothing when it is of another type.
template <class Value, class Take>
void read_array(Data* data, const std::string& key, const char* expected, std::vector<Value>* values, Take take) {
  const toml::node* node = data->ask(key);
  if (node == nullptr) return;
  const toml::array* array = node->as_array();
  if (array == nullptr) refuse(*data, *node, key, expected);
  std::vector<Value> found;
  for (const toml::node& element : *array) {
    const std::optional<Value> value = take(element);
    if (!value) refuse(*data, element, key, expected);
    found.push_back(*value);
  }
  *values = std::move(found);
}

// Fails on the first key of `table` that is not known, naming the nearest one that is.
void refuse_unknown(const Data& data, const std::vector<std::string>& known, const char* what) {
  if (data.table == nullptr) return;
  for (const auto& [key, node] : *data.table) {
    const std::string name(key.str());
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const toml::source_position at = key.source().begin;
    const std::string nearest = nearest_name(name, known);
    std::ostringstream hint;
    if (!nearest.empty()) {
      hint << " (did you mean " << data.full_name(nearest) << "?)";
    } else if (!known.empty()) {
      hint << " (known here:";
      for (const std::string& candidate : known) hint << " " << candidate;
      hint << ")";
    }
    fail(data.file, ":", at.line, ":", at.column, ": unknown ", what, " ", data.full_name(name), hint.str());
  }
}

std::shared_ptr<Data> parse_toml(const std::string& toml, const std::string& where) {
  auto data = std::make_shared<Data>();
  data->file = where;
  try {
    data->root = std::make_shared<toml::table>(toml::parse(toml, where));
  } catch (const toml::parse_error& error) {
    const toml::source_position at = error.source().begin;
    fail(where, ":", at.line, ":", at.column, ": no valid TOML: ", error.description());
  }
  data->table = data->root.get();
  return data;
}

// node: what the parent has under `key`; nullptr when absent.
std::shared_ptr<Data> child(const Data& parent, const std::string& key, const toml::node* node) {
  auto data = std::make_shared<Data>();
  data->root = parent.root;
  data->file = parent.file;
  data->path = parent.full_name(key);
  if (node != nullptr) {
    data->table = node->as_table();
    if (data->table == nullptr) refuse(parent, *node, key, "a table");
  }
  return data;
}

}  // namespace

Section::Section(std::shared_ptr<Data> data) : data_(std::move(data)) {}

bool Section::has(const std::string& key) { return data_->ask(key) != nullptr; }
void Section::read(const std::string& key, int64_t* value) { read_integer(data_.get(), key, value); }
void Section::read(const std::string& key, int* value) { read_integer(data_.get(), key, value); }
void Section::read(const std::string& key, double* value) { read_float(data_.get(), key, value); }
void Section::read(const std::string& key, float* value) { read_float(data_.get(), key, value); }
void Section::read(const std::string& key, bool* value) { read_exact(data_.get(), key, "true or false", value); }
void Section::read(const std::string& key, std::string* value) { read_exact(data_.get(), key, "a string", value); }

void Section::read(const std::string& key, std::vector<int64_t>* value) {
  read_array(data_.get(), key, "an array of integers", value, [](const auto& e) { return e.template value_exact<int64_t>(); });
}

void Section::read(const std::string& key, std::vector<double>* value) {
  read_array(data_.get(), key, "an array of finite numbers", value, finite_number<double>);
}

void Section::read(const std::string& key, std::vector<std::string>* value) {
  read_array(data_.get(), key, "an array of strings", value,
             [](const auto& e) { return e.template value_exact<std::string>(); });
}

Section Section::table(const std::string& key) { return Section(child(*data_, key, data_->ask(key))); }

std::vector<Section> Section::tables(const std::string& key) {
  std::vector<Section> result;
  const toml::node* node = data_->ask(key);
  if (node == nullptr) return result;
  if (node->as_array() == nullptr) refuse(*data_, *node, key, "an array of tables");
  for (const toml::node& element : *node->as_array()) {
    result.emplace_back(child(*data_, key + "#" + std::to_string(result.size() + 1), &element));
  }
  return result;
}

void Section::finish() const { refuse_unknown(*data_, data_->known, "key"); }

ConfigFile::ConfigFile(const std::string& path) : root_(parse_toml(read_text_file(path), path)) {}

ConfigFile ConfigFile::parse(const std::string& toml, const std::string& where) {
  ConfigFile file;
  file.root_ = parse_toml(toml, where);
  return file;
}

Section ConfigFile::section(const std::string& name) { return Section(child(*root_, name, root_->ask(name))); }

void ConfigFile::check_sections(const std::vector<std::string>& known) const {
  refuse_unknown(*root_, known, "section");
}

std::string nearest_name(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = 2 + word.size() / 3;  // one more than the farthest that still counts as near
  for (const std::string& candidate : candidates) {
    std::vector<size_t> row(candidate.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 0; i < word.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i + 1;
      for (size_t j = 0; j < candidate.size(); ++j) {
        const size_t replaced = diagonal + (word[i] == candidate[j] ? 0 : 1);
        diagonal = row[j + 1];
        row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace sixteen
