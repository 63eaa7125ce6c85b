// See source_archive.h. A carry-less range coder of 32 bits, as in lpaq; coded are "path\nsize\ntext" of each file, an empty line, and
// a checksum. The model reads the decoder's own source first: C++ that both sides have.
#include "packer/source_archive.h"

#include <cstdio>

#include "formats/codec.h"
#include "formats/file.h"
#include "packer/source_model.h"
#include "packer/source_strip.h"

namespace sixteen {
namespace {

// Behind it: the decoder as tar.xz, which cmake can open wherever it is, and the code. The shell has left before.
constexpr const char* kScript = R"(#!/bin/sh
# sh evaluator.sh FOLDER: sources of sixteen-eval; then cmake -S FOLDER -B FOLDER/build && cmake --build FOLDER/build
set -e
t=`mktemp -d`
tail -c %BOTH "$0" | head -c %DECODER >$t/u.xz
(cd $t && cmake -E tar xf u.xz && c++ -std=c++20 -O2 -o u u.cpp)
$t/u "$0" %CODE "${1:-evaluator}"
rm -r $t
exit
)";

constexpr const char* kDecoder = R"(#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
int main(int, char** v) {
std::ifstream f(v[1], std::ios::binary);
f.seekg(-std::stol(v[2]), std::ios::end);
sixteen::SourceModel m;
std::ifstream own(v[0] + std::string(".cpp"), std::ios::binary);
for (char c; own.get(c);)
for (int i = 8; i--;) m.update(c >> i & 1);
uint32_t low = 0, high = ~0u, x = 0, sum = 0;
for (int i = 0; i < 4; ++i) x = x << 8 | (f.get() & 255);
auto byte = [&] {
int c = 1;
while (c < 256) {
uint32_t mid = low + (uint32_t(uint64_t(high - low) * m.probability() >> 16));
int bit = x <= mid;
(bit ? high : low) = bit ? mid : mid + 1;
for (; (low ^ high) >> 24 == 0; low <<= 8, high = high << 8 | 255) x = x << 8 | (f.get() & 255);
m.update(bit);
c = 2 * c + bit;
}
return char(c);
};
auto text = [&](size_t n) {
std::string s;
for (char c; s.size() < n && ((c = byte()) != '\n' || n < 1u << 31); s += c) sum = sum * 31 + uint8_t(c);
return s;
};
for (std::string name; name = text(1u << 31), name != "";) {
std::string path = std::string(v[3]) + "/" + name;
std::filesystem::create_directories(std::filesystem::path(path).parent_path());
std::ofstream(path, std::ios::binary) << text(std::stol(text(1u << 31)));
}
uint32_t expected = sum;
if (text(1u << 31) == std::to_string(expected)) return 0;
std::cerr << "damaged\n";
return 1;
}
)";

// A POSIX tar archive of one small file; no owner, no time.
Bytes tar_of(const std::string& name, const std::string& text) {
  std::string header(512, '\0');
  const auto put = [&](size_t at, const std::string& field) { header.replace(at, field.size(), field); };
  char octal[13];
  std::snprintf(octal, sizeof octal, "%011zo", text.size());
  put(0, name);
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  put(124, octal);
  put(136, "00000000000");
  put(148, "        ");
  put(156, std::string("0ustar\00000", 9));
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::snprintf(octal, sizeof octal, "%06o", sum);
  put(148, octal + std::string("\0 ", 2));
  const std::string tar = header + text + std::string(1024 + (512 - text.size() % 512) % 512, '\0');
  const auto bytes = std::as_bytes(std::span(tar));
  return {bytes.begin(), bytes.end()};
}

std::string with_number(std::string text, const std::string& mark, size_t number) {
  return text.replace(text.find(mark), mark.size(), std::to_string(number));
}

class Encoder {
 public:
  void read(const std::string& text) {
    for (const char c : text) {
      for (int bit = 7; bit >= 0; --bit) model_.update(c >> bit & 1);
    }
  }
  void add(const std::string& text) {
    for (const char c : text) {
      for (int bit = 7; bit >= 0; --bit) add_bit(static_cast<unsigned char>(c) >> bit & 1);
    }
  }
  std::string finish() {
    for (int i = 0; i < 4; ++i, low_ <<= 8) code_ += static_cast<char>(low_ >> 24);
    return code_;
  }

 private:
  void add_bit(int bit) {
    const uint32_t middle =
        low_ +
        static_cast<uint32_t>(static_cast<uint64_t>(high_ - low_) * static_cast<uint64_t>(model_.probability()) >> 16);
    (bit != 0 ? high_ : low_) = bit != 0 ? middle : middle + 1;
    for (; (low_ ^ high_) >> 24 == 0; low_ <<= 8, high_ = high_ << 8 | 255) code_ += static_cast<char>(low_ >> 24);
    model_.update(bit);
  }

  SourceModel model_;
  uint32_t low_ = 0, high_ = ~0u;
  std::string code_;
};

}  // namespace

SourceArchive make_source_archive(const std::vector<CountedSource>& sources, const std::string& model) {
  SourceArchive archive;
  Encoder encoder;
  const std::string own = model + kDecoder;
  encoder.read(own);
  uint32_t sum = 0;
  const auto add = [&](const std::string& text, const char* end) {
    for (const char c : text) sum = sum * 31 + static_cast<uint8_t>(c);
    encoder.add(text + end);
  };
  for (const CountedSource& source : sources) {
    add(source.path, "\n");
    add(std::to_string(source.text.size()), "\n");
    add(source.text, "");
    ++archive.files;
    archive.text_bytes += source.text.size();
  }
  encoder.add("\n" + std::to_string(sum) + "\n");
  const std::string code = encoder.finish();
  archive.code_bytes = code.size();
  const Bytes decoder = encode(Codec::kXz, default_level(Codec::kXz), tar_of("u.cpp", own));
  archive.script =
      with_number(with_number(with_number(kScript, "%BOTH", decoder.size() + code.size()), "%DECODER", decoder.size()),
                  "%CODE", code.size());
  archive.script.append(reinterpret_cast<const char*>(decoder.data()), decoder.size());
  archive.script += code;
  return archive;
}

SourceArchive make_source_archive(const std::string& root) {
  const std::vector<CountedSource> sources = counted_sources(root);
  std::string model = strip_cpp(read_text_file(root + "/packer/source_model.h"), "packer/source_model.h");
  const std::string once = "#pragma once\n";  // a warning in a file that nothing includes
  model.erase(model.find(once), once.size());
  return make_source_archive(sources, model);
}

}  // namespace sixteen
