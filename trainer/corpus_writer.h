// Writes one document after another from the grammar and the world.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/corpus_grammar.h"
#include "trainer/corpus_world.h"

namespace sixteen {

class CorpusWriter {
 public:
  CorpusWriter(const Grammar& grammar, const SampleWorld& world, uint64_t seed);

  // Document `number` of this seed: paragraphs, one a line, the first one usually a title. Depends on nothing else.
  std::string document(uint64_t number);

 private:
  struct Date {
    int year = 0, month = 0, day = 0;  // month and day from 0
  };
  enum class ValueKind : uint8_t { kUnset, kWord, kText, kNumber, kDate, kEntity };
  struct Value {
    ValueKind kind = ValueKind::kUnset;
    int list = 0, index = 0;  // of a word (list, index) or an entity (kind, index)
    int64_t number = 0;
    Date date = {};
    std::string text = {};
    bool same(const Value& other) const { return kind == other.kind && list == other.list && index == other.index; }
  };

  void write_sequence(const Sequence& sequence);
  void write_choice(const std::vector<int>& choice);
  void write_node(const Node& node);
  Value evaluate(const Node& node);
  Value draw_new(const Node& node);
  Value follow(const Value& entity, Attribute attribute) const;
  bool bound_already(const Value& value) const;

  void print(const Value& value, Attribute attribute);
  void print_person(const Person& person, Attribute attribute);
  void print_place(const Value& entity, Attribute attribute);
  void print_date(const Date& date, Attribute attribute);
  void print_number(int64_t number, Attribute attribute);
  void emit(std::string_view text);

  const Grammar& grammar_;
  const SampleWorld& world_;
  const uint64_t seed_;
  Dice dice_;
  std::vector<Value> variables_;
  std::vector<int> bound_;  // variables bound in this document
  Date now_;
  std::string out_;
  bool article_waits_ = false;
};

}  // namespace sixteen
