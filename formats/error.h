// The one exception for whatever a file, a flag or a device can cause. Bugs do not throw: they hit CHECK (check.h).
//
// A message is one line that names: what, where (file, offset or flag), what was expected, what was found, what to do.
// It is caught once, in each program's main, printed after the program's name, and the exit code is 1.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace sixteen {

class Error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Wrong command line; main exits with code 2 instead of 1.
class UsageError : public Error {
  using Error::Error;
};

// `text` on one line: control characters, which names out of a damaged file may hold, become "?".
inline std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

// Joins its arguments as operator<< prints them and throws Error.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream line;
  (line << ... << parts);
  throw Error(one_line(line.str()));
}

}  // namespace sixteen
