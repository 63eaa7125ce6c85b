// Bytes written out literally, and the damage that every reader must survive: cut anywhere, any bit flipped, bytes behind.
#pragma once

#include <gtest/gtest.h>

#include <cctype>
#include <cstddef>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/error.h"

namespace sixteen::testing {

using ByteVector = std::vector<std::byte>;

// "53 31 36" -> three bytes; blanks are for the eye.
inline ByteVector from_hex(std::string_view hex) {
  std::string digits;
  for (const char c : hex) {
    if (std::isxdigit(static_cast<unsigned char>(c)) != 0) digits += c;
  }
  ByteVector bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

inline ByteVector from_text(std::string_view text) {
  ByteVector bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

template <class Element>
ByteVector bytes_of(const std::vector<Element>& elements) {
  const auto bytes = std::as_bytes(std::span(elements));
  return ByteVector(bytes.begin(), bytes.end());
}

inline ByteVector joined(ByteVector a, const ByteVector& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// The message of the Error that `action` throws, "" when it throws none. Messages are one line.
inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_FALSE(message.empty());
    return message;
  }
  return "";
}

// Expects an Error whose message contains `part`.
inline void expect_error(const std::string& part, const std::function<void()>& action) {
  const std::string message = error_of(action);
  EXPECT_FALSE(message.empty()) << "accepted; expected an error about: " << part;
  EXPECT_NE(message.find(part), std::string::npos) << "the error does not say \"" << part << "\": " << message;
}

using Reader = std::function<void(const ByteVector& file)>;

// `read` must throw Error for every proper prefix of the file, and for the file with something behind it.
inline void expect_length_checked(const ByteVector& file, const Reader& read) {
  EXPECT_EQ(error_of([&] { read(file); }), "");
  for (size_t size = 0; size < file.size(); ++size) {
    const ByteVector cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_NE(error_of([&] { read(cut); }), "") << "accepted the first " << size << " of " << file.size() << " bytes";
  }
  for (const size_t extra : {1, 2, 7, 1024}) {
    for (const auto filler : {std::byte{0}, std::byte{' '}}) {
      const ByteVector longer = joined(file, ByteVector(extra, filler));
      EXPECT_NE(error_of([&] { read(longer); }), "") << "accepted " << extra << " bytes behind the end";
    }
  }
}

// Flips every bit in turn. `read` must throw Error or pass; returns the number of flips that passed.
inline size_t count_accepted_flips(const ByteVector& file, const Reader& read) {
  size_t accepted = 0;
  for (size_t bit = 0; bit < 8 * file.size(); ++bit) {
    ByteVector flipped = file;
    flipped[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    if (error_of([&] { read(flipped); }).empty()) ++accepted;
  }
  return accepted;
}

}  // namespace sixteen::testing
