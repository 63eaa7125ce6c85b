// See python_wrapper.h.
#include "packer/python_wrapper.h"

#include <lzma.h>

#include <algorithm>
#include <array>

#include "formats/error.h"

namespace sixteen {
namespace {

constexpr std::string_view kBase85 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr size_t kMostSource = 64 << 20;  // bytes of a decoded script: a bomb is refused
constexpr int kMostLayers = 4;            // wrappers in wrappers

std::optional<uint64_t> digit(std::string_view alphabet, char c) {
  const size_t found = alphabet.find(c);
  return found == std::string_view::npos ? std::nullopt : std::optional<uint64_t>(found);
}

// The literal behind `call`, its quotes and blanks removed.
std::optional<std::string> literal_of(std::string_view script, std::string_view call) {
  size_t at = script.find(call);
  if (at == std::string_view::npos) return std::nullopt;
  at = script.find_first_of("\"'", at + call.size());
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view one = script.substr(at, 1), three = script.substr(at, 3);
  const bool triple = three.size() == 3 && three[1] == three[0] && three[2] == three[0];
  const std::string_view quote = triple ? three : one;
  const size_t begin = at + quote.size(), end = script.find(quote, begin);
  if (end == std::string_view::npos) return std::nullopt;
  std::string text(script.substr(begin, end - begin));
  std::erase_if(text, [](char c) { return c == '\n' || c == '\r' || c == ' ' || c == '\\'; });
  return text;
}

// LZMA2 without a container, as lzma.FORMAT_RAW writes it.
std::optional<Bytes> decode_raw_lzma2(std::span<const std::byte> coded) {
  lzma_options_lzma options{};
  if (lzma_lzma_preset(&options, 9) != 0) return std::nullopt;
  const lzma_filter filters[] = {{LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, nullptr}};
  Bytes out(kMostSource);
  size_t in_at = 0, out_at = 0;
  const lzma_ret result = lzma_raw_buffer_decode(filters, nullptr, reinterpret_cast<const uint8_t*>(coded.data()), &in_at, coded.size(),
                                                 reinterpret_cast<uint8_t*>(out.data()), &out_at, out.size());
  if (result != LZMA_OK && result != LZMA_STREAM_END) return std::nullopt;
  out.resize(out_at);
  return out;
}

Unwrapped decompress(const Bytes& coded) {
  const auto begins = [&](std::initializer_list<int> magic) {
    return coded.size() > magic.size() && std::equal(magic.begin(), magic.end(), coded.begin(), [](int a, std::byte b) { return a == static_cast<int>(b); });
  };
  const auto text = [](const Bytes& bytes) { return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()); };
  if (begins({0x78})) return {.source = "", .problem = "coded by zlib, which is not read here"};
  for (const Codec codec : {begins({0xfd, '7', 'z', 'X', 'Z'}) ? Codec::kXz : Codec::kZstd, Codec::kBrotli}) {
    try {
      return {.source = text(decode_up_to(codec, coded, kMostSource, "wrapper")), .problem = ""};
    } catch (const Error&) {
      continue;  // another codec's
    }
  }
  if (const auto raw = decode_raw_lzma2(coded)) return {.source = text(*raw), .problem = ""};
  return {.source = "", .problem = "coded in a way that is not known here"};
}

}  // namespace

std::string encode_base85(std::span<const std::byte> bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 4) {
    const size_t count = std::min<size_t>(4, bytes.size() - i);
    uint64_t word = 0;
    for (size_t k = 0; k < 4; ++k) word = word << 8 | (k < count ? static_cast<uint64_t>(bytes[i + k]) : 0);
    std::array<char, 5> digits{};
    for (size_t k = 5; k-- > 0; word /= 85) digits[k] = kBase85[word % 85];
    text.append(digits.data(), count + 1);
  }
  return text;
}

std::optional<Bytes> decode_base85(std::string_view text) {
  Bytes bytes;
  for (size_t i = 0; i < text.size(); i += 5) {
    const size_t count = std::min<size_t>(5, text.size() - i);
    uint64_t word = 0;
    for (size_t k = 0; k < 5; ++k) {
      const auto value = k < count ? digit(kBase85, text[i + k]) : 84;
      if (!value) return std::nullopt;
      word = word * 85 + *value;
    }
    if (count == 1 || word > 0xffffffff) return std::nullopt;
    for (size_t k = 0; k + 1 < count; ++k) bytes.push_back(static_cast<std::byte>(word >> (24 - 8 * k)));
  }
  return bytes;
}

std::optional<Bytes> decode_base64(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  Bytes bytes;
  uint64_t word = 0;
  int bits = 0;
  for (const char c : text) {
    const auto value = digit(kBase64, c);
    if (!value) return std::nullopt;
    word = word << 6 | *value;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push_back(static_cast<std::byte>(word >> bits));
  }
  return bytes;
}

std::optional<Unwrapped> unwrap_python(std::string_view script) {
  std::string source(script);
  bool wrapped = false;
  for (int layer = 0; layer < kMostLayers && source.find("exec(") != std::string::npos; ++layer) {
    const auto in85 = literal_of(source, "b85decode("), in64 = literal_of(source, "b64decode(");
    if (!in85 && !in64) break;
    const auto coded = in85 ? decode_base85(*in85) : decode_base64(*in64);
    if (!coded) return Unwrapped{.source = "", .problem = "its literal is no base 85 or 64"};
    if (coded->size() < 128) break;  // a constant, not a program
    const Unwrapped inside = decompress(*coded);
    if (inside.source.empty()) return inside;
    source = inside.source;
    wrapped = true;
  }
  return wrapped ? std::optional<Unwrapped>({source, ""}) : std::nullopt;
}

std::string wrap_python(std::string_view source) {
  const Bytes coded = encode(Codec::kXz, 9, std::as_bytes(std::span(source)));
  return "import lzma,base64\nexec(lzma.decompress(base64.b85decode(\"" + encode_base85(coded) + "\")))\n";
}

}  // namespace sixteen
