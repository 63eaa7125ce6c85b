// Brotli, zstd and xz behind one pair of functions, and the byte shuffle.
//
// Bites: the output buffer grows as bytes arrive, so a stream that lies about its size costs what it really decodes to.
// xz streams carry no check of their own: the artifact's SHA-256 covers them and every byte counts.
#include "formats/codec.h"

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <lzma.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "formats/check.h"
#include "formats/error.h"

namespace sixteen {
namespace {

struct CodecInfo {
  std::string_view name;
  int lowest, highest, preferred;
};

constexpr CodecInfo kCodecs[] = {{"stored", 0, 0, 0}, {"brotli", 0, 11, 11}, {"zstd", 1, 22, 22},
                                 {"xz", 0, 9, 9},     {"sixteen", 0, 0, 0},  {"auto", 0, 0, 0}};
constexpr size_t kFirstBuffer = size_t{1} << 20;
constexpr uint64_t kXzMemoryLimit = uint64_t{256} << 20;  // preset 9 needs 65 MiB to decode
constexpr std::string_view kShuffleMagic = "BSHF";

const CodecInfo& info(Codec codec) {
  CHECK(static_cast<size_t>(codec) < std::size(kCodecs));
  return kCodecs[static_cast<size_t>(codec)];
}

const uint8_t* as_u8(const std::byte* bytes) { return reinterpret_cast<const uint8_t*>(bytes); }
uint8_t* as_u8(std::byte* bytes) { return reinterpret_cast<uint8_t*>(bytes); }

// uncounted: begin
Bytes encode_brotli(int level, std::span<const std::byte> input) {
  // BrotliEncoderMaxCompressedSize is meant for quality 2 and up; the margin covers the lower ones (empty metablocks).
  Bytes output(BrotliEncoderMaxCompressedSize(input.size()) + input.size() / 1024 + 1024);
  size_t size = output.size();
  const bool done = BrotliEncoderCompress(level, BROTLI_MAX_WINDOW_BITS, BROTLI_MODE_GENERIC, input.size(),
                                          as_u8(input.data()), &size, as_u8(output.data()));
  CHECK(done);
  output.resize(size);
  return output;
}

Bytes encode_zstd(int level, std::span<const std::byte> input) {
  Bytes output(ZSTD_compressBound(input.size()));
  const size_t size = ZSTD_compress(output.data(), output.size(), input.data(), input.size(), level);
  CHECK(!ZSTD_isError(size));
  output.resize(size);
  return output;
}

Bytes encode_xz(int level, std::span<const std::byte> input) {
  Bytes output(lzma_stream_buffer_bound(input.size()));
  size_t size = 0;
  lzma_options_lzma options;
  CHECK(!lzma_lzma_preset(&options, static_cast<uint32_t>(level) | LZMA_PRESET_EXTREME));
  // A dictionary beyond the input gains nothing and costs up to 674 MiB here and 64 in the reader.
  const size_t useful = std::max<size_t>(input.size(), LZMA_DICT_SIZE_MIN);
  options.dict_size = static_cast<uint32_t>(std::min<size_t>(useful, options.dict_size));
  lzma_filter filters[] = {{LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, nullptr}};
  CHECK(lzma_stream_buffer_encode(filters, LZMA_CHECK_NONE, nullptr, as_u8(input.data()), input.size(),
                                  as_u8(output.data()), &size, output.size()) == LZMA_OK);
  output.resize(size);
  return output;
}
// uncounted: end

// A decoder's state at one step: what is left to read and where there is room to write.
struct Window {
  const std::byte* next_in;
  size_t left_in;
  std::byte* next_out;
  size_t room;
};

enum class Step { kMore, kEnd, kDamaged };

class BrotliDecoder {
 public:
  BrotliDecoder() : state_(BrotliDecoderCreateInstance(nullptr, nullptr, nullptr)) { CHECK(state_ != nullptr); }
  ~BrotliDecoder() { BrotliDecoderDestroyInstance(state_); }
  BrotliDecoder(const BrotliDecoder&) = delete;
  BrotliDecoder& operator=(const BrotliDecoder&) = delete;

  Step step(Window* w) {
    const uint8_t* in = as_u8(w->next_in);
    uint8_t* out = as_u8(w->next_out);
    const BrotliDecoderResult result =
        BrotliDecoderDecompressStream(state_, &w->left_in, &in, &w->room, &out, nullptr);
    w->next_in = reinterpret_cast<const std::byte*>(in);
    w->next_out = reinterpret_cast<std::byte*>(out);
    if (result == BROTLI_DECODER_RESULT_ERROR) return Step::kDamaged;
    return result == BROTLI_DECODER_RESULT_SUCCESS ? Step::kEnd : Step::kMore;
  }

 private:
  BrotliDecoderState* state_;
};

class ZstdDecoder {
 public:
  ZstdDecoder() : state_(ZSTD_createDStream()) { CHECK(state_ != nullptr); }
  ~ZstdDecoder() { ZSTD_freeDStream(state_); }
  ZstdDecoder(const ZstdDecoder&) = delete;
  ZstdDecoder& operator=(const ZstdDecoder&) = delete;

  Step step(Window* w) {
    ZSTD_inBuffer in{w->next_in, w->left_in, 0};
    ZSTD_outBuffer out{w->next_out, w->room, 0};
    const size_t result = ZSTD_decompressStream(state_, &out, &in);
    if (ZSTD_isError(result)) return Step::kDamaged;
    w->next_in += in.pos;
    w->left_in -= in.pos;
    w->next_out += out.pos;
    w->room -= out.pos;
    return result == 0 ? Step::kEnd : Step::kMore;
  }

 private:
  ZSTD_DStream* state_;
};

class XzDecoder {
 public:
  XzDecoder() { CHECK(lzma_stream_decoder(&state_, kXzMemoryLimit, 0) == LZMA_OK); }
  ~XzDecoder() { lzma_end(&state_); }
  XzDecoder(const XzDecoder&) = delete;
  XzDecoder& operator=(const XzDecoder&) = delete;

  Step step(Window* w) {
    state_.next_in = as_u8(w->next_in);
    state_.avail_in = w->left_in;
    state_.next_out = as_u8(w->next_out);
    state_.avail_out = w->room;
    const lzma_ret result = lzma_code(&state_, LZMA_RUN);
    w->next_in += w->left_in - state_.avail_in;
    w->left_in = state_.avail_in;
    w->next_out += w->room - state_.avail_out;
    w->room = state_.avail_out;
    if (result == LZMA_STREAM_END) return Step::kEnd;
    return result == LZMA_OK || result == LZMA_BUF_ERROR ? Step::kMore : Step::kDamaged;
  }

 private:
  lzma_stream state_ = LZMA_STREAM_INIT;
};

// How many bytes a stream may give: exactly `bytes`, or up to them.
struct Limit {
  size_t bytes;
  bool exact;
};

// Runs a decoder to its end. One byte more room than allowed tells a longer stream from a finished one.
template <class Decoder>
Bytes drain(std::span<const std::byte> input, Limit limit, const std::string& name) {
  const std::string expected = (limit.exact ? "" : "at most ") + std::to_string(limit.bytes);
  Decoder decoder;
  Bytes output;
  size_t used = 0, consumed = 0;
  for (Step step = Step::kMore; step != Step::kEnd;) {
    if (used == output.size()) output.resize(std::min(limit.bytes + 1, std::max(2 * used, kFirstBuffer)));
    Window w{input.data() + consumed, input.size() - consumed, output.data() + used, output.size() - used};
    step = decoder.step(&w);
    const size_t wrote = output.size() - used - w.room;
    const size_t read = input.size() - consumed - w.left_in;
    used += wrote;
    consumed += read;
    if (step == Step::kDamaged) fail("stream ", name, ": damaged at or before coded byte ", consumed);
    if (used > limit.bytes) fail("stream ", name, ": expected ", expected, " decoded bytes, found more");
    if (step == Step::kMore && wrote == 0 && read == 0) {
      fail("stream ", name, ": truncated: ", input.size(), " coded bytes gave ", used, limit.exact ? " of " + expected : "");
    }
  }
  if (limit.exact && used != limit.bytes) fail("stream ", name, ": expected ", expected, " decoded bytes, found ", used);
  if (consumed != input.size()) {
    fail("stream ", name, ": ", input.size() - consumed, " bytes behind its end at coded byte ", consumed);
  }
  output.resize(used);
  return output;
}

Bytes decode_limited(Codec codec, std::span<const std::byte> input, Limit limit, const std::string& name) {
  CHECK(limit.bytes < std::numeric_limits<size_t>::max());
  switch (codec) {
    case Codec::kStored:
      if (limit.exact ? input.size() != limit.bytes : input.size() > limit.bytes) {
        fail("stream ", name, ": expected ", limit.exact ? "" : "at most ", limit.bytes, " stored bytes, found ", input.size());
      }
      return Bytes(input.begin(), input.end());
    case Codec::kBrotli: return drain<BrotliDecoder>(input, limit, name);
    case Codec::kZstd: return drain<ZstdDecoder>(input, limit, name);
    case Codec::kXz: return drain<XzDecoder>(input, limit, name);
    case Codec::kSixteen:
    case Codec::kAuto: break;
  }
  CHECK(false);
}

}  // namespace

std::string_view codec_name(Codec codec) { return info(codec).name; }

Codec parse_codec(std::string_view name) {
  for (size_t i = 0; i < std::size(kCodecs); ++i) {
    if (kCodecs[i].name == name) return static_cast<Codec>(i);
  }
  fail("unknown codec \"", name, "\": expected auto, sixteen, stored, brotli, zstd or xz");
}

int default_level(Codec codec) { return info(codec).preferred; }

void check_level(Codec codec, int level) {
  const CodecInfo& known = info(codec);
  if (level < known.lowest || level > known.highest) {
    fail(known.name, " level ", level, ": expected ", known.lowest, " to ", known.highest);
  }
}

// uncounted: begin
Bytes encode(Codec codec, int level, std::span<const std::byte> input) {
  check_level(codec, level);
  switch (codec) {
    case Codec::kStored: return Bytes(input.begin(), input.end());
    case Codec::kBrotli: return encode_brotli(level, input);
    case Codec::kZstd: return encode_zstd(level, input);
    case Codec::kXz: return encode_xz(level, input);
    case Codec::kSixteen:
    case Codec::kAuto: break;
  }
  CHECK(false);
}
// uncounted: end

Bytes decode(Codec codec, std::span<const std::byte> input, size_t decoded_bytes, const std::string& name) {
  return decode_limited(codec, input, {decoded_bytes, true}, name);
}

Bytes decode_up_to(Codec codec, std::span<const std::byte> input, size_t max_bytes, const std::string& name) {
  return decode_limited(codec, input, {max_bytes, false}, name);
}

Bytes shuffle_bytes(std::span<const std::byte> input, size_t stride) {
  CHECK(stride >= 1);
  Bytes output;
  output.reserve(input.size());
  for (size_t phase = 0; phase < stride; ++phase) {
    for (size_t i = phase; i < input.size(); i += stride) output.push_back(input[i]);
  }
  return output;
}

Bytes unshuffle_bytes(std::span<const std::byte> input, size_t stride) {
  CHECK(stride >= 1);
  Bytes output(input.size());
  size_t next = 0;
  for (size_t phase = 0; phase < stride; ++phase) {
    for (size_t i = phase; i < input.size(); i += stride) output[i] = input[next++];
  }
  return output;
}

Bytes shuffle_with_header(std::span<const std::byte> input, size_t stride) {
  CHECK(stride >= 1 && stride <= 255);
  if (stride == 1 || input.size() < stride) return Bytes(input.begin(), input.end());
  Bytes output(kShuffleMagic.size() + 1);
  std::memcpy(output.data(), kShuffleMagic.data(), kShuffleMagic.size());
  output.back() = static_cast<std::byte>(stride);
  const Bytes shuffled = shuffle_bytes(input, stride);
  output.insert(output.end(), shuffled.begin(), shuffled.end());
  return output;
}

Bytes unshuffle_with_header(std::span<const std::byte> input) {
  const size_t header = kShuffleMagic.size() + 1;
  if (input.size() < header || std::memcmp(input.data(), kShuffleMagic.data(), kShuffleMagic.size()) != 0) {
    return Bytes(input.begin(), input.end());
  }
  const size_t stride = static_cast<size_t>(input[kShuffleMagic.size()]);
  if (stride == 0) fail("byte shuffle: offset 4: expected a stride of 1 to 255, found 0");
  return unshuffle_bytes(input.subspan(header), stride);
}

}  // namespace sixteen
