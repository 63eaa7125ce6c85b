// TOML sections read into plain fields: every key that nobody asked for is an error that names the nearest known key.
//
//   ConfigFile file("demo.toml");
//   Section s = file.section("train");      // an absent section is an empty one
//   s.read("seq_len", &options.seq_len);    // leaves the field alone when the key is absent
//   s.finish();                             // throws Error on keys left over
//
// Bites: nested tables are read with s.table("loop") or s.tables("rules"), which must be finished too. Integers are accepted for floats.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sixteen {

class Section {
 public:
  struct Data;
  explicit Section(std::shared_ptr<Data> data);

  bool has(const std::string& key);
  void read(const std::string& key, int64_t* value);
  void read(const std::string& key, int* value);
  void read(const std::string& key, double* value);
  void read(const std::string& key, float* value);
  void read(const std::string& key, bool* value);
  void read(const std::string& key, std::string* value);
  void read(const std::string& key, std::vector<int64_t>* value);
  void read(const std::string& key, std::vector<double>* value);
  void read(const std::string& key, std::vector<std::string>* value);
  Section table(const std::string& key);                // an absent table is an empty one
  std::vector<Section> tables(const std::string& key);  // [[key]]; absent: none. Messages call them key#1, key#2, ...
  void finish() const;

 private:
  std::shared_ptr<Data> data_;
};

class ConfigFile {
 public:
  explicit ConfigFile(const std::string& path);                               // throws Error with line and column
  static ConfigFile parse(const std::string& toml, const std::string& where);
  Section section(const std::string& name);
  // Throws Error naming any top-level key that is not one of `known`.
  void check_sections(const std::vector<std::string>& known) const;

 private:
  ConfigFile() = default;
  std::shared_ptr<Section::Data> root_;
};

// The candidate with the smallest edit distance to `word`, or "" when none is near (distance > 1 + length / 3).
std::string nearest_name(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace sixteen
