// See corpus_writer.h.
#include "trainer/corpus_writer.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "formats/check.h"

namespace sixteen {
namespace {

constexpr std::string_view kMonths[] = {"January", "February", "March",     "April",   "May",      "June",
                                        "July",    "August",   "September", "October", "November", "December"};
constexpr std::string_view kWeekdays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
constexpr std::string_view kUnits[] = {"zero",     "one",     "two",     "three",     "four",     "five",    "six",
                                       "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",  "thirteen",
                                       "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
constexpr std::string_view kTens[] = {"",      "",      "twenty",  "thirty", "forty",
                                      "fifty", "sixty", "seventy", "eighty", "ninety"};

// Sakamoto's method; month and day from 0.
int weekday_of(int year, int month, int day) {
  static constexpr int kShift[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};
  if (month < 2) --year;
  return (year + year / 4 - year / 100 + year / 400 + kShift[month] + day + 1) % 7;
}

bool leads_to_entity(Attribute attribute) { return attribute >= Attribute::kTown; }

bool takes_an(std::string_view word) {
  if (word.starts_with("8") || word.starts_with("11 ") || word.starts_with("18 ") || word.starts_with("hour") ||
      word.starts_with("honest")) {
    return true;
  }
  if (word.starts_with("uni") || word.starts_with("use") || word.starts_with("one") || word.starts_with("eu"))
    return false;
  return std::string_view("aeiouAEIOU").find(word.front()) != std::string_view::npos;
}

// True when the next letter begins a sentence: at the start, after a line break, after ". " and after an opening quote.
bool at_sentence_start(std::string_view text) {
  if (!text.empty() && text.back() == '"') {
    text.remove_suffix(1);
    return text.empty() || text.back() == ' ' || text.back() == '\n';
  }
  if (text.empty() || text.back() == '\n') return true;
  if (text.size() < 2 || text.back() != ' ') return false;
  text.remove_suffix(1);
  if (text.ends_with(".\"")) return true;  // but not after '?"': "Why?" she asked
  return !text.empty() && (text.back() == '.' || text.back() == '!' || text.back() == '?');
}

}  // namespace

CorpusWriter::CorpusWriter(const Grammar& grammar, const SampleWorld& world, uint64_t seed)
    : grammar_(grammar), world_(world), seed_(seed), dice_(seed, 0), variables_(grammar.variables.size()) {}

std::string CorpusWriter::document(uint64_t number) {
  dice_ = Dice(seed_, number + 1);
  for (const int variable : bound_) variables_[variable] = Value();
  bound_.clear();
  out_.clear();
  now_ = {2000 + static_cast<int>(dice_.below(24)), static_cast<int>(dice_.below(12)),
          static_cast<int>(dice_.below(28))};
  const auto root = grammar_.rules.find("document");
  CHECK(root != grammar_.rules.end());
  write_choice(grammar_.choices[root->second]);
  while (!out_.empty() && (out_.back() == ' ' || out_.back() == '\n')) out_.pop_back();
  return out_;
}

void CorpusWriter::write_choice(const std::vector<int>& choice) {
  write_sequence(grammar_.sequences[choice[dice_.below(static_cast<uint32_t>(choice.size()))]]);
}

void CorpusWriter::write_sequence(const Sequence& sequence) {
  for (const Node& node : sequence) write_node(node);
}

void CorpusWriter::write_node(const Node& node) {
  if (node.kind == NodeKind::kText) {
    emit(grammar_.texts[node.index]);
  } else if (node.kind == NodeKind::kArticle) {
    article_waits_ = true;
  } else if (node.kind == NodeKind::kChoice && node.bind < 0) {
    write_choice(grammar_.choices[node.index]);
  } else {
    Value value = evaluate(node);
    // A form of a word or a property of an entity is printed; the value bound is the word or entity itself.
    const Attribute attribute = leads_to_entity(node.attribute) ? Attribute::kNone : node.attribute;
    if (!node.silent) print(value, attribute);
    if (node.bind >= 0) {
      if (variables_[node.bind].kind == ValueKind::kUnset) bound_.push_back(node.bind);
      variables_[node.bind] = std::move(value);
    }
  }
}

CorpusWriter::Value CorpusWriter::evaluate(const Node& node) {
  Value value;
  switch (node.kind) {
    case NodeKind::kText:
    case NodeKind::kArticle:
      CHECK(false);
      break;
    case NodeKind::kChoice: {
      const std::string before = std::exchange(out_, " ");  // written as in the middle of a sentence
      write_choice(grammar_.choices[node.index]);
      value.kind = ValueKind::kText;
      value.text = out_.substr(1);
      out_ = before;
      break;
    }
    case NodeKind::kList:
    case NodeKind::kEntity:
      value = draw_new(node);
      break;
    case NodeKind::kVariable:
      value = variables_[node.index];
      if (value.kind == ValueKind::kUnset) {
        for (const auto& [name, index] : grammar_.variables) {
          if (index == node.index)
            std::fprintf(stderr, "corpus grammar: '%s' is not bound in:\n%s\n", name.c_str(), out_.c_str());
        }
        std::abort();
      }
      break;
    case NodeKind::kDate:
      value = {.kind = ValueKind::kDate, .date = now_};
      value.date.month = static_cast<int>(dice_.below(12));
      value.date.day = static_cast<int>(dice_.below(28));
      break;
    case NodeKind::kNow:
      value = {.kind = ValueKind::kDate, .date = now_};
      break;
    case NodeKind::kNumber: {
      const int64_t choices = (node.high - node.low) / node.step + 1;
      value = {.kind = ValueKind::kNumber,
               .number = node.low + node.step * dice_.below(static_cast<uint32_t>(choices))};
      break;
    }
    case NodeKind::kSum:
    case NodeKind::kDifference: {
      const int64_t a = variables_[node.low].number, b = variables_[node.high].number;
      value = {.kind = ValueKind::kNumber, .number = node.kind == NodeKind::kSum ? a + b : a - b};
      break;
    }
  }
  return leads_to_entity(node.attribute) ? follow(value, node.attribute) : value;
}

// A word or an entity; when it is to be bound, one that no other name has, as far as a few tries find one.
CorpusWriter::Value CorpusWriter::draw_new(const Node& node) {
  const size_t sizes[] = {world_.people.size(), world_.towns.size(), world_.companies.size(), world_.teams.size()};
  const bool word = node.kind == NodeKind::kList;
  const size_t size = word ? grammar_.lists[node.index].size() : sizes[node.index];
  Value value{.kind = word ? ValueKind::kWord : ValueKind::kEntity, .list = node.index};
  for (int tries = 0; tries < 8; ++tries) {
    value.index = static_cast<int>(dice_.below(static_cast<uint32_t>(size)));
    if (node.bind < 0 || !bound_already(value)) break;
  }
  return value;
}

bool CorpusWriter::bound_already(const Value& value) const {
  for (const int variable : bound_) {
    if (variables_[variable].same(value)) return true;
  }
  return false;
}

CorpusWriter::Value CorpusWriter::follow(const Value& entity, Attribute attribute) const {
  CHECK(entity.kind == ValueKind::kEntity);
  auto to = [](EntityKind kind, int index) {
    return Value{.kind = ValueKind::kEntity, .list = static_cast<int>(kind), .index = index};
  };
  const auto kind = static_cast<EntityKind>(entity.list);
  const int i = entity.index;
  if (kind == EntityKind::kPerson) {
    const Person& person = world_.people[i];
    if (attribute == Attribute::kTown) return to(EntityKind::kTown, person.town);
    if (attribute == Attribute::kCompany) return to(EntityKind::kCompany, person.company);
    if (attribute == Attribute::kFriend) return to(EntityKind::kPerson, person.friend_index);
  } else if (kind == EntityKind::kTown) {
    const Town& town = world_.towns[i];
    if (attribute == Attribute::kMayor) return to(EntityKind::kPerson, town.mayor);
    if (attribute == Attribute::kNeighbour) return to(EntityKind::kTown, town.neighbour);
    if (attribute == Attribute::kTeam) return to(EntityKind::kTeam, town.team);
  } else if (kind == EntityKind::kCompany) {
    if (attribute == Attribute::kTown) return to(EntityKind::kTown, world_.companies[i].town);
    if (attribute == Attribute::kBoss) return to(EntityKind::kPerson, world_.companies[i].boss);
  } else {
    const Team& team = world_.teams[i];
    if (attribute == Attribute::kTown) return to(EntityKind::kTown, team.town);
    if (attribute == Attribute::kCoach) return to(EntityKind::kPerson, team.coach);
    if (attribute == Attribute::kStar) return to(EntityKind::kPerson, team.star);
  }
  CHECK(false);  // the grammar asks for what this kind of entity does not have
  return {};
}

void CorpusWriter::print(const Value& value, Attribute attribute) {
  switch (value.kind) {
    case ValueKind::kUnset:
      CHECK(false);
      break;
    case ValueKind::kWord: {
      const int form = attribute == Attribute::kNone ? 0 : static_cast<int>(attribute);
      CHECK(form <= static_cast<int>(Attribute::kIng));
      emit(grammar_.lists[value.list][value.index][form]);
      break;
    }
    case ValueKind::kText:
      emit(value.text);
      break;
    case ValueKind::kNumber:
      print_number(value.number, attribute);
      break;
    case ValueKind::kDate:
      print_date(value.date, attribute);
      break;
    case ValueKind::kEntity:
      if (value.list == static_cast<int>(EntityKind::kPerson)) {
        print_person(world_.people[value.index], attribute);
      } else {
        print_place(value, attribute);
      }
      break;
  }
}

void CorpusWriter::print_person(const Person& person, Attribute attribute) {
  switch (attribute) {
    case Attribute::kNone:
      return emit(person.full);
    case Attribute::kFirst:
      return emit(person.first);
    case Attribute::kLast:
      return emit(person.last);
    case Attribute::kHe:
      return emit(person.woman ? "she" : "he");
    case Attribute::kHim:
      return emit(person.woman ? "her" : "him");
    case Attribute::kHis:
      return emit(person.woman ? "her" : "his");
    case Attribute::kJob:
      return emit(person.job);
    case Attribute::kHobby:
      return emit(person.hobby);
    case Attribute::kAge:
      return print_number(now_.year - person.born, Attribute::kNone);
    case Attribute::kBorn:
      return emit(std::to_string(person.born));
    default:
      CHECK(false);
  }
}

void CorpusWriter::print_place(const Value& entity, Attribute attribute) {
  if (entity.list == static_cast<int>(EntityKind::kTown)) {
    const Town& town = world_.towns[entity.index];
    switch (attribute) {
      case Attribute::kNone:
        return emit(town.name);
      case Attribute::kRegion:
        return emit(town.region);
      case Attribute::kRiver:
        return emit(town.river);
      case Attribute::kFamous:
        return emit(town.famous);
      case Attribute::kPopulation:
        return print_number(town.population, Attribute::kNone);
      case Attribute::kFounded:
        return emit(std::to_string(town.founded));
      default:
        CHECK(false);
    }
  } else if (entity.list == static_cast<int>(EntityKind::kCompany)) {
    const Company& company = world_.companies[entity.index];
    switch (attribute) {
      case Attribute::kNone:
        return emit(company.name);
      case Attribute::kMakes:
        return emit(company.makes);
      case Attribute::kFounded:
        return emit(std::to_string(company.founded));
      case Attribute::kStaff:
        return print_number(company.staff, Attribute::kNone);
      default:
        CHECK(false);
    }
  } else {
    const Team& team = world_.teams[entity.index];
    switch (attribute) {
      case Attribute::kNone:
        return emit(team.name);
      case Attribute::kGround:
        return emit(team.ground);
      case Attribute::kFounded:
        return emit(std::to_string(team.founded));
      default:
        CHECK(false);
    }
  }
}

void CorpusWriter::print_date(const Date& date, Attribute attribute) {
  const std::string day = std::to_string(date.day + 1), year = std::to_string(date.year);
  switch (attribute) {
    case Attribute::kNone:
      return emit(day + " " + std::string(kMonths[date.month]) + " " + year);
    case Attribute::kDay:
      return emit(day + " " + std::string(kMonths[date.month]));
    case Attribute::kWeekday:
      return emit(kWeekdays[weekday_of(date.year, date.month, date.day)]);
    case Attribute::kMonth:
      return emit(kMonths[date.month]);
    case Attribute::kYear:
      return emit(year);
    default:
      CHECK(false);
  }
}

void CorpusWriter::print_number(int64_t number, Attribute attribute) {
  if (attribute == Attribute::kInWords && number >= 0 && number < 100) {
    if (number < 20) return emit(kUnits[number]);
    std::string text(kTens[number / 10]);
    if (number % 10 != 0) text += "-" + std::string(kUnits[number % 10]);
    return emit(text);
  }
  std::string digits = std::to_string(number);
  if (number >= 10000) {  // four digits stand bare, so that years need no rule of their own
    for (int place = static_cast<int>(digits.size()) - 3; place > 0; place -= 3) digits.insert(place, ",");
  }
  emit(digits);
}

void CorpusWriter::emit(std::string_view text) {
  if (text.empty()) return;
  const bool starts = at_sentence_start(out_);
  if (article_waits_) {
    out_ += starts ? 'A' : 'a';
    out_ += takes_an(text) ? "n " : " ";
    article_waits_ = false;
    out_ += text;
    return;
  }
  const size_t first = out_.size();
  out_ += text;
  char& letter = out_[first];
  if (starts && letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
}

}  // namespace sixteen
