// See corpus_grammar.h. Two passes: names first, so that rules may stand in any order, then the alternatives.
#include "trainer/corpus_grammar.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "formats/check.h"

namespace sixteen {
namespace {

constexpr std::pair<std::string_view, Attribute> kAttributes[] = {
    {"s", Attribute::kS},           {"ed", Attribute::kEd},           {"ing", Attribute::kIng},
    {"w", Attribute::kInWords},     {"first", Attribute::kFirst},     {"last", Attribute::kLast},
    {"he", Attribute::kHe},         {"him", Attribute::kHim},         {"his", Attribute::kHis},
    {"job", Attribute::kJob},       {"age", Attribute::kAge},         {"born", Attribute::kBorn},
    {"hobby", Attribute::kHobby},   {"region", Attribute::kRegion},   {"river", Attribute::kRiver},
    {"famous", Attribute::kFamous}, {"pop", Attribute::kPopulation},  {"founded", Attribute::kFounded},
    {"makes", Attribute::kMakes},   {"staff", Attribute::kStaff},     {"ground", Attribute::kGround},
    {"day", Attribute::kDay},       {"weekday", Attribute::kWeekday}, {"month", Attribute::kMonth},
    {"year", Attribute::kYear},     {"town", Attribute::kTown},       {"company", Attribute::kCompany},
    {"friend", Attribute::kFriend}, {"mayor", Attribute::kMayor},     {"neighbour", Attribute::kNeighbour},
    {"boss", Attribute::kBoss},     {"coach", Attribute::kCoach},     {"star", Attribute::kStar},
    {"team", Attribute::kTeam}};

constexpr std::pair<std::string_view, EntityKind> kEntities[] = {{"person", EntityKind::kPerson},
                                                                 {"town", EntityKind::kTown},
                                                                 {"company", EntityKind::kCompany},
                                                                 {"team", EntityKind::kTeam}};

[[noreturn]] void bug(std::string_view what, std::string_view where) {
  std::fprintf(stderr, "corpus grammar: %.*s in '%.*s' (a bug in sixteen)\n", static_cast<int>(what.size()),
               what.data(), static_cast<int>(where.size()), where.data());
  std::abort();
}

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

bool is_name(std::string_view text) {
  if (text.empty() || text[0] < 'a' || text[0] > 'z') return false;
  return text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789._") == std::string_view::npos;
}

// Calls `each` with the parts of text between the separators.
template <class Each>
void split(std::string_view text, char separator, Each each) {
  while (true) {
    const size_t end = text.find(separator);
    each(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

class Parser {
 public:
  Grammar parse(const std::vector<std::string_view>& sources) {
    for (std::string_view source : sources) find_names(source);
    for (const auto& [rule, line] : alternatives_) {
      const int sequence = parse_sequence(&line, line);
      grammar_.choices[rule].push_back(sequence);
    }
    for (const auto& [name, rule] : grammar_.rules) {
      if (grammar_.choices[rule].empty()) bug("empty rule", name);
    }
    return std::move(grammar_);
  }

 private:
  void find_names(std::string_view source) {
    int rule = -1, list = -1;
    split(source, '\n', [&](std::string_view raw) {
      std::string_view line = trim(raw);
      if (line.empty() || line[0] == '#') return;
      const size_t equals = line.find(" = ");
      if (list < 0 && line.back() == ':' && is_name(line.substr(0, line.size() - 1))) {
        rule = static_cast<int>(grammar_.choices.size());
        grammar_.choices.emplace_back();
        if (!grammar_.rules.emplace(line.substr(0, line.size() - 1), rule).second) bug("rule twice", line);
      } else if (list < 0 && equals != std::string_view::npos && is_name(line.substr(0, equals))) {
        list = static_cast<int>(grammar_.lists.size());
        grammar_.lists.emplace_back();
        if (!grammar_.list_names.emplace(line.substr(0, equals), list).second) bug("list twice", line);
        line.remove_prefix(equals + 3);
        list = add_words(list, line);
      } else if (list >= 0) {
        list = add_words(list, line);
      } else {
        if (rule < 0) bug("line outside of a rule", line);
        alternatives_.emplace_back(rule, line);
      }
    });
  }

  // A list goes on as long as its lines end in a comma.
  int add_words(int list, std::string_view line) {
    split(line, ',', [&](std::string_view entry) {
      entry = trim(entry);
      if (!entry.empty()) grammar_.lists[list].push_back(make_word(entry));
    });
    return line.back() == ',' ? list : -1;
  }

  void add_text(Sequence* nodes, std::string* text) {
    if (text->empty()) return;
    nodes->push_back({.kind = NodeKind::kText, .index = static_cast<int>(grammar_.texts.size())});
    grammar_.texts.push_back(std::move(*text));
    text->clear();
  }

  // Parses up to the end, or to the | or ] that ends a choice's part, and leaves the rest in `line`.
  int parse_sequence(const std::string_view* whole, std::string_view line) {
    std::string_view rest = line;
    const int sequence = parse_part(&rest, *whole);
    if (!rest.empty()) bug("stray | or ]", *whole);
    return sequence;
  }

  int parse_part(std::string_view* rest, std::string_view whole) {
    Sequence nodes;
    std::string text;
    while (!rest->empty() && rest->front() != '|' && rest->front() != ']') {
      const char c = rest->front();
      if (c == '[') {
        add_text(&nodes, &text);
        nodes.push_back(parse_choice(rest, whole));
      } else if (c == '{') {
        add_text(&nodes, &text);
        const size_t end = rest->find('}');
        if (end == std::string_view::npos) bug("open {", whole);
        nodes.push_back(parse_slot(rest->substr(1, end - 1), whole));
        rest->remove_prefix(end + 1);
        // The article writes its blank itself, once it has seen the word behind it.
        if (nodes.back().kind == NodeKind::kArticle && rest->starts_with(' ')) rest->remove_prefix(1);
      } else if (rest->starts_with("//")) {
        while (!text.empty() && text.back() == ' ') text.pop_back();
        text += '\n';
        rest->remove_prefix(2);
        while (rest->starts_with(' ')) rest->remove_prefix(1);
      } else {
        text += c;
        rest->remove_prefix(1);
      }
    }
    add_text(&nodes, &text);
    grammar_.sequences.push_back(std::move(nodes));
    return static_cast<int>(grammar_.sequences.size()) - 1;
  }

  Node parse_choice(std::string_view* rest, std::string_view whole) {
    std::vector<int> parts;
    do {
      rest->remove_prefix(1);  // [ or |
      parts.push_back(parse_part(rest, whole));
      if (rest->empty()) bug("open [", whole);
    } while (rest->front() == '|');
    rest->remove_prefix(1);
    grammar_.choices.push_back(std::move(parts));
    return {.kind = NodeKind::kChoice, .index = static_cast<int>(grammar_.choices.size()) - 1};
  }

  Node parse_slot(std::string_view slot, std::string_view whole) {
    if (slot == "a") return {.kind = NodeKind::kArticle};
    Node node;
    if (slot.starts_with('!')) {
      node.silent = true;
      slot.remove_prefix(1);
    }
    if (const size_t equals = slot.find('='); equals != std::string_view::npos) {
      const std::string_view name = slot.substr(0, equals);
      if (!is_name(name) || grammar_.rules.contains(name) || grammar_.list_names.contains(name))
        bug("bad variable", whole);
      node.bind = grammar_.variables.emplace(name, static_cast<int>(grammar_.variables.size())).first->second;
      slot.remove_prefix(equals + 1);
    }
    if (!slot.empty() && slot[0] >= '0' && slot[0] <= '9') return parse_number(node, slot);
    if (const size_t colon = slot.find(':'); colon != std::string_view::npos) {
      node.attribute = attribute(slot.substr(colon + 1), whole);
      slot = slot.substr(0, colon);
    }
    if (const size_t sign = slot.find_first_of("+-"); sign != std::string_view::npos) {
      node.kind = slot[sign] == '+' ? NodeKind::kSum : NodeKind::kDifference;
      node.low = variable(slot.substr(0, sign), whole);
      node.high = variable(slot.substr(sign + 1), whole);
      return node;
    }
    return resolve(node, slot, whole);
  }

  Node parse_number(Node node, std::string_view slot) {
    const std::string text(slot);
    long long low = 0, high = 0, step = 1;
    if (std::sscanf(text.c_str(), "%lld-%lld*%lld", &low, &high, &step) < 2 || high < low || step < 1)
      bug("bad number", slot);
    node.kind = NodeKind::kNumber;
    if (const size_t colon = slot.find(':'); colon != std::string_view::npos)
      node.attribute = attribute(slot.substr(colon + 1), slot);
    node.low = low;
    node.high = high;
    node.step = step;
    return node;
  }

  Node resolve(Node node, std::string_view name, std::string_view whole) {
    if (const auto list = grammar_.list_names.find(name); list != grammar_.list_names.end()) {
      node.kind = NodeKind::kList;
      node.index = list->second;
    } else if (const auto rule = grammar_.rules.find(name); rule != grammar_.rules.end()) {
      node.kind = NodeKind::kChoice;
      node.index = rule->second;
    } else if (name == "date" || name == "now") {
      node.kind = name == "date" ? NodeKind::kDate : NodeKind::kNow;
    } else {
      for (const auto& [word, kind] : kEntities) {
        if (name != word) continue;
        node.kind = NodeKind::kEntity;
        node.index = static_cast<int>(kind);
        return node;
      }
      node.kind = NodeKind::kVariable;
      node.index = variable(name, whole);
    }
    return node;
  }

  // Bound further up in some rule, or not yet parsed: the writer checks that a value is there.
  int variable(std::string_view name, std::string_view whole) {
    if (!is_name(name)) bug("bad name", whole);
    return grammar_.variables.emplace(name, static_cast<int>(grammar_.variables.size())).first->second;
  }

  Attribute attribute(std::string_view name, std::string_view whole) {
    for (const auto& [word, attribute] : kAttributes) {
      if (name == word) return attribute;
    }
    bug("unknown attribute", whole);
  }

  Grammar grammar_;
  std::vector<std::pair<int, std::string_view>> alternatives_;
};

bool ends_in_any(std::string_view word, std::initializer_list<std::string_view> endings) {
  for (std::string_view ending : endings) {
    if (word.ends_with(ending)) return true;
  }
  return false;
}

}  // namespace

Grammar parse_grammar(const std::vector<std::string_view>& sources) { return Parser().parse(sources); }

Word make_word(std::string_view entry) {
  Word word;
  size_t form = 0;
  split(entry, '/', [&](std::string_view part) {
    if (form == word.size()) bug("too many forms", entry);
    word[form++] = std::string(part);
  });
  const std::string& base = word[0];
  const bool y = base.size() > 1 && base.back() == 'y' && !ends_in_any(base, {"ay", "ey", "oy", "uy"});
  const std::string stem = y || base.ends_with('e') ? base.substr(0, base.size() - 1) : base;
  if (word[1].empty())
    word[1] = y ? stem + "ies" : base + (ends_in_any(base, {"s", "x", "z", "ch", "sh"}) ? "es" : "s");
  if (word[2].empty()) word[2] = y ? stem + "ied" : stem + "ed";
  if (word[3].empty()) word[3] = (y ? base : stem) + "ing";
  return word;
}

}  // namespace sixteen
