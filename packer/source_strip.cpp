// See source_strip.h.
#include "packer/source_strip.h"

#include <cctype>
#include <sstream>

#include "formats/error.h"

namespace sixteen {
namespace {

constexpr const char* kBegin = "// uncounted: begin";
constexpr const char* kEnd = "// uncounted: end";

std::string without_uncounted(const std::string& text, const std::string& where) {
  std::string out;
  std::istringstream lines(text);
  bool counted = true;
  for (std::string line; std::getline(lines, line);) {
    const bool begin = line.find(kBegin) != std::string::npos, end = line.find(kEnd) != std::string::npos;
    if (counted ? end : begin) fail(where, ": \"", line, "\" does not follow its counterpart");
    if (counted && !begin) out += line + '\n';
    if (begin || end) counted = end;
  }
  if (!counted) fail(where, ": no \"", kEnd, "\" behind the last \"", kBegin, "\"");
  return out;
}

class Stripper {
 public:
  Stripper(const std::string& text, const std::string& where) : text_(text), where_(where) {}

  std::string run() {
    while (at_ < text_.size()) step();
    end_line();
    return out_;
  }

 private:
  bool next(const char* word) const { return text_.compare(at_, std::char_traits<char>::length(word), word) == 0; }

  void step() {
    const char c = text_[at_];
    if (next("//")) {
      while (at_ < text_.size() && text_[at_] != '\n') ++at_;
    } else if (next("/*")) {
      const size_t end = text_.find("*/", at_ + 2);
      if (end == std::string::npos) fail(where_, ": a comment without an end");
      at_ = end + 2;
      line_ += ' ';
    } else if (next("R\"") && !in_word()) {
      const size_t open = text_.find('(', at_);
      const size_t end = open == std::string::npos ? open : text_.find(')' + text_.substr(at_ + 2, open - at_ - 2) + '"', open);
      if (end == std::string::npos) fail(where_, ": a raw string without an end");
      take(end + (open - at_) - at_);
      raw_ = true;
    } else if (c == '"' || (c == '\'' && !in_word())) {  // in a word: 1'000
      quoted(c);
    } else if (c == '\n') {
      ++at_;
      end_line();
    } else {
      take(1);
    }
  }

  bool in_word() const { return !line_.empty() && (std::isalnum(static_cast<unsigned char>(line_.back())) != 0 || line_.back() == '_'); }

  void take(size_t count) {
    line_.append(text_, at_, count);
    at_ += count;
  }

  void quoted(char quote) {
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote && text_[end] != '\n') end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size() || text_[end] == '\n') fail(where_, ": a ", quote, " without its end: ", text_.substr(at_, 40));
    take(end + 1 - at_);
  }

  // Lines that hold a raw string keep their blanks: they may be its own.
  void end_line() {
    if (!raw_) {
      line_.erase(0, line_.find_first_not_of(" \t"));
      line_.erase(line_.find_last_not_of(" \t") + 1);
    }
    if (!line_.empty()) out_ += line_ + '\n';
    line_.clear();
    raw_ = false;
  }

  const std::string& text_;
  const std::string& where_;
  std::string out_, line_;
  size_t at_ = 0;
  bool raw_ = false;
};

}  // namespace

std::string strip_cpp(const std::string& text, const std::string& where) {
  const std::string counted = without_uncounted(text, where);
  return Stripper(counted, where).run();
}

std::string strip_hash_lines(const std::string& text) {
  std::string out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find_first_not_of(" \t");
    if (first != std::string::npos && line[first] != '#') out += line.substr(first) + '\n';
  }
  return out;
}

}  // namespace sixteen
