// The scanner: one pass that blanks, one pass over what is left that keeps a stack of open braces.
#include "tests/tidy/scan.h"

#include <algorithm>
#include <cctype>
#include <regex>

namespace sixteen::tidy {
namespace {

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Blanks [begin, end) except line breaks.
void blank(std::string* text, size_t begin, size_t end) {
  for (size_t i = begin; i < std::min(end, text->size()); ++i)
    if ((*text)[i] != '\n') (*text)[i] = ' ';
}

// End (one past the closing quote) of the literal whose opening quote stands at `quote`.
size_t literal_end(std::string_view source, size_t quote) {
  const bool raw = source[quote] == '"' && quote > 0 && source[quote - 1] == 'R' &&
                   (quote < 2 || !is_word(source[quote - 2]) ||
                    std::string_view("uUL8").find(source[quote - 2]) != std::string_view::npos);
  if (raw) {
    const size_t open = source.find('(', quote);
    if (open == std::string_view::npos) return source.size();
    const std::string close = ")" + std::string(source.substr(quote + 1, open - quote - 1)) + "\"";
    const size_t end = source.find(close, open);
    return end == std::string_view::npos ? source.size() : end + close.size();
  }
  for (size_t i = quote + 1; i < source.size(); ++i) {
    if (source[i] == '\\')
      ++i;
    else if (source[i] == source[quote] || source[i] == '\n')
      return i + 1;
  }
  return source.size();
}

// End of the line that holds `at`, lines continued by a backslash taken as one.
size_t logical_line_end(std::string_view source, size_t at) {
  size_t end = source.find('\n', at);
  while (end != std::string_view::npos && end > 0 && source[end - 1] == '\\') end = source.find('\n', end + 1);
  return end == std::string_view::npos ? source.size() : end;
}

void blank_directives(std::string* text) {
  bool line_start = true;
  for (size_t i = 0; i < text->size(); ++i) {
    const char c = (*text)[i];
    if (c == '\n') {
      line_start = true;
    } else if (line_start && c == '#') {
      const size_t end = logical_line_end(*text, i);
      blank(text, i, end);
      i = end - 1;
    } else if (c != ' ' && c != '\t') {
      line_start = false;
    }
  }
}

// The declaration's text with what only misleads taken out: labels, attributes, template heads.
std::string bare_declaration(const std::string& text) {
  static const std::regex label(R"(\b(public|private|protected)\s*:(?!:))");
  static const std::regex attribute(
      R"(\[\[[^\]]*\]\]|\b__attribute__\s*\(\([^;{}]*?\)\)|\b(alignas|decltype|__launch_bounds__)\s*\([^()]*\))");
  std::string bare = std::regex_replace(std::regex_replace(text, label, " "), attribute, " ");
  std::string result;
  for (size_t i = 0; i < bare.size(); ++i) {
    const bool head = bare.compare(i, 8, "template") == 0 && (i == 0 || !is_word(bare[i - 1]));
    if (!head) {
      result += bare[i];
      continue;
    }
    int depth = 0;
    for (i += 8; i < bare.size(); ++i) {
      if (bare[i] == '<') ++depth;
      if (bare[i] == '>' && --depth == 0) break;
    }
  }
  return result;
}

// Position of the first '(' outside of template brackets, npos when there is none.
size_t parameter_list(const std::string& bare) {
  int angles = 0;
  for (size_t i = 0; i < bare.size(); ++i) {
    if (bare[i] == '<') ++angles;
    if (bare[i] == '>' && i > 0 && bare[i - 1] != '-') --angles;
    if (bare[i] == '(' && angles <= 0) return i;
  }
  return std::string::npos;
}

std::string function_name(const std::string& bare) {
  static const std::regex test(R"(^\s*(TEST|TEST_F|TEST_P|TYPED_TEST)\s*\(\s*(\w+)\s*,\s*(\w+)\s*\))");
  static const std::regex op(R"(([\w:<>]*\boperator\s*(\(\s*\)|[^\s(]+(\s*\w+)?))\s*\()");
  std::smatch match;
  if (std::regex_search(bare, match, test)) return match[2].str() + "." + match[3].str();
  if (std::regex_search(bare, match, op)) return match[1].str();
  size_t end = parameter_list(bare);
  while (end > 0 && bare[end - 1] == ' ') --end;
  size_t begin = end;
  while (begin > 0 && (is_word(bare[begin - 1]) || bare[begin - 1] == ':' || bare[begin - 1] == '~')) --begin;
  return bare.substr(begin, end - begin);
}

enum class Scope { kOuter, kFunction, kOther };  // kOuter: namespace or class, where functions can begin

// Whether a ')' is followed by a constructor's initialiser list.
bool in_initialisers(const std::string& bare) {
  int depth = 0;
  bool closed = false;
  for (size_t i = 0; i < bare.size(); ++i) {
    if (bare[i] == '(') ++depth;
    if (bare[i] == ')') closed = --depth == 0 || closed;
    const bool single =
        bare[i] == ':' && (i == 0 || bare[i - 1] != ':') && (i + 1 == bare.size() || bare[i + 1] != ':');
    if (single && closed && depth == 0) return true;
  }
  return false;
}

// What a '{' that follows this declaration text (no open parenthesis in it) begins.
Scope classify(const std::string& text) {
  static const std::regex type(R"(\b(class|struct|union|enum|namespace|extern)\b)");
  static const std::regex op(R"(\boperator\s*[^\w\s(]+)");
  const std::string bare = bare_declaration(text);
  std::string top;  // outside of parentheses and template brackets
  int depth = 0;
  for (const char c : std::regex_replace(bare, op, "operator")) {
    if (c == '(') ++depth;
    if (depth == 0) top += c;
    if (c == ')') --depth;
  }
  const bool parameters = parameter_list(bare) != std::string::npos;
  if (top.find('=') != std::string::npos) return Scope::kOther;
  if (!parameters) return std::regex_search(top, type) ? Scope::kOuter : Scope::kOther;
  const size_t last = bare.find_last_not_of(" \n\t");
  if (in_initialisers(bare) && (is_word(bare[last]) || bare[last] == '>')) return Scope::kOther;  // member{...}
  return Scope::kFunction;
}

// The state of the second pass.
class FunctionFinder {
 public:
  explicit FunctionFinder(const std::string& text) : text_(text) {}

  std::vector<Function> run() {
    for (const char c : text_) {
      step(c);
      if (c == '\n') ++line_;
    }
    return found_;
  }

 private:
  struct Open {
    Scope scope;
    int parentheses;  // open outside of this brace
    int first_line;
    std::string name;
  };

  bool outer() const { return open_.empty() || open_.back().scope == Scope::kOuter; }

  void step(char c) {
    if (c == '{') return open_brace();
    if (c == '}') return close_brace();
    if (c == '(') ++parentheses_;
    if (c == ')') --parentheses_;
    if (!outer()) return;
    if (c == ';' && parentheses_ == 0) return declaration_.clear();
    if (declaration_.empty() && (c == ' ' || c == '\n' || c == '\t')) return;
    if (declaration_.empty()) first_line_ = line_;
    declaration_ += c == '\n' ? ' ' : c;
    if (declaration_ == "public:" || declaration_ == "private:" || declaration_ == "protected:") declaration_.clear();
  }

  void open_brace() {
    const Scope scope = !outer() || parentheses_ > 0 ? Scope::kOther : classify(declaration_);
    open_.push_back({scope, parentheses_, first_line_,
                     scope == Scope::kFunction ? function_name(bare_declaration(declaration_)) : std::string()});
    parentheses_ = 0;
    if (scope == Scope::kOuter) declaration_.clear();
  }

  void close_brace() {
    if (open_.empty()) return;
    const Open closed = open_.back();
    open_.pop_back();
    parentheses_ = closed.parentheses;
    if (closed.scope == Scope::kFunction)
      found_.push_back({closed.name, closed.first_line, line_ - closed.first_line + 1});
    if (closed.scope != Scope::kOther)
      declaration_.clear();
    else if (outer())
      declaration_ += '}';  // a member initialiser or a value: the declaration goes on
  }

  const std::string& text_;
  std::vector<Open> open_;
  std::vector<Function> found_;
  std::string declaration_;
  int parentheses_ = 0;
  int line_ = 1;
  int first_line_ = 1;
};

}  // namespace

std::string blank_text(std::string_view source, bool keep_directives) {
  std::string text(source);
  for (size_t i = 0; i < source.size(); ++i) {
    size_t end = i;
    if (source.substr(i, 2) == "//") end = logical_line_end(source, i);
    if (source.substr(i, 2) == "/*") end = std::min(source.find("*/", i + 2), source.size() - 2) + 2;
    if (end > i) {
      blank(&text, i, end);
      i = end - 1;
      continue;
    }
    const bool separator = source[i] == '\'' && i > 0 && std::isalnum(static_cast<unsigned char>(source[i - 1])) != 0 &&
                           i + 1 < source.size() && std::isalnum(static_cast<unsigned char>(source[i + 1])) != 0;
    if (source[i] == '"' || (source[i] == '\'' && !separator)) {
      end = literal_end(source, i);
      blank(&text, i + 1, end - 1);
      i = end - 1;
    }
  }
  if (!keep_directives) blank_directives(&text);
  return text;
}

std::vector<Function> find_functions(std::string_view source) {
  const std::string text = blank_text(source);
  return FunctionFinder(text).run();
}

bool balanced(std::string_view source) {
  std::string open;
  for (const char c : blank_text(source)) {
    if (c == '{' || c == '(') open += c;
    if (c != '}' && c != ')') continue;
    if (open.empty() || open.back() != (c == '}' ? '{' : '(')) return false;
    open.pop_back();
  }
  return open.empty();
}

}  // namespace sixteen::tidy
