// The little language that the sample texts are written in (corpus_text_*.cpp), parsed once into a tree.
//
//   rule:                            a rule; every line under it is one alternative
//     The {adj} {x=tool} broke. [It|That {x}] cost {n=20-90} pounds. // {p:He} ...
//   tool = hammer, knife/knives      a word list; forms are base/s/ed/ing, missing ones are made by rule
//
//   {name}      a rule, a list's word, a bound variable, or an entity kind: person town company team date now
//   {name:attr} a form (s, ed, ing, w) or a property (first, last, he, town, ...)
//   {x=...}     binds x for the rest of the document and prints; {!x=...} binds silently. Words and entities bound under
//               different names differ.
//   {20-90} {20-90*100}  a number, a multiple of 100;  {z=x+y} {z=x-y}  arithmetic of bound numbers;  {a} a or an
//   [x|y|]      a choice;  //  a new paragraph
//
// Bites: sentences' first letters are capitalised when written, so rules may begin in lower case. Mistakes in the built-in
// text are bugs and hit CHECK.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sixteen {

enum class Attribute : uint8_t {
  kNone,
  kS,
  kEd,
  kIng,
  kInWords,
  kFirst,
  kLast,
  kHe,
  kHim,
  kHis,
  kJob,
  kAge,
  kBorn,
  kHobby,  // of a person
  kRegion,
  kRiver,
  kFamous,
  kPopulation,
  kFounded,
  kMakes,
  kStaff,
  kGround,  // of a place, company or team
  kDay,
  kWeekday,
  kMonth,
  kYear,  // of a date
  kTown,
  kCompany,
  kFriend,
  kMayor,
  kNeighbour,
  kBoss,
  kCoach,
  kStar,
  kTeam  // lead from entity to entity
};

enum class EntityKind : uint8_t { kPerson, kTown, kCompany, kTeam };

enum class NodeKind : uint8_t {
  kText,
  kChoice,
  kList,
  kVariable,
  kEntity,
  kDate,
  kNow,
  kNumber,
  kSum,
  kDifference,
  kArticle
};

struct Node {
  NodeKind kind = NodeKind::kText;
  Attribute attribute = Attribute::kNone;
  bool silent = false;
  int bind = -1;                        // variable that receives the value
  int index = 0;                        // text, choice, list, variable or entity kind
  int64_t low = 0, high = 0, step = 1;  // of a number; operands of a sum: variables
};

using Sequence = std::vector<Node>;
using Word = std::array<std::string, 4>;  // base, s, ed, ing

struct Grammar {
  std::vector<std::string> texts;
  std::vector<Sequence> sequences;
  std::vector<std::vector<int>> choices;  // of sequences; a rule is a choice with a name
  std::vector<std::vector<Word>> lists;
  std::map<std::string, int, std::less<>> rules, list_names, variables;
};

Grammar parse_grammar(const std::vector<std::string_view>& sources);

// The regular forms of English: box -> boxes, boxed, boxing; "bake/bakes/baked/baking" gives all, "run//ran/running" some.
Word make_word(std::string_view entry);

}  // namespace sixteen
