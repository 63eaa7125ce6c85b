// See text_source.h.
#include "trainer/text_source.h"

#include <lzma.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "formats/error.h"
#include "formats/json.h"

namespace sixteen {
namespace {

constexpr size_t kBlockBytes = 1 << 18;
constexpr uint64_t kXzMemoryBytes = uint64_t{1} << 30;  // xz -9 needs 65 MB; a hostile header must not get all memory

// Offset of the first byte that is not well-formed UTF-8 (surrogates and overlong forms included), or npos.
size_t find_bad_utf8(std::string_view text) {
  const auto* s = reinterpret_cast<const unsigned char*>(text.data());
  const size_t n = text.size();
  for (size_t i = 0; i < n;) {
    const unsigned char c = s[i];
    if (c < 0x80) {
      ++i;
      continue;
    }
    const size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (c < 0xC2 || c > 0xF4 || i + length > n) return i;
    for (size_t k = 1; k < length; ++k) {
      if ((s[i + k] & 0xC0) != 0x80) return i;
    }
    const bool overlong = (c == 0xE0 && s[i + 1] < 0xA0) || (c == 0xF0 && s[i + 1] < 0x90);
    const bool too_high = (c == 0xED && s[i + 1] > 0x9F) || (c == 0xF4 && s[i + 1] > 0x8F);
    if (overlong || too_high) return i;
    i += length;
  }
  return std::string_view::npos;
}

}  // namespace

TxtDocuments parse_txt_documents(const std::string& name) {
  if (name == "blank-line") return TxtDocuments::kBlankLine;
  if (name == "line") return TxtDocuments::kLine;
  if (name == "file") return TxtDocuments::kFile;
  throw UsageError("--txt-documents " + name + ": expected blank-line, line or file");
}

std::string document_text(const TextRecord& record) {
  if (!record.json) {
    if (const size_t bad = find_bad_utf8(record.raw); bad != std::string::npos) {
      const auto line = record.line + std::count(record.raw.begin(), record.raw.begin() + static_cast<long>(bad), '\n');
      fail(record.path, ": line ", line, ": not UTF-8 text; convert it first (iconv -t UTF-8)");
    }
    return record.raw;
  }
  const std::string where = record.path + ": line " + std::to_string(record.line);
  nlohmann::json object = parse_json_object(record.raw, where);
  const auto text = object.find("text");
  if (text == object.end() || !text->is_string()) fail(where, ": expected a string field \"text\" in the JSON object");
  return std::move(text->get_ref<std::string&>());
}

// One open file as lines. Plain or xz by its name.
struct TextSource::Reader {
  explicit Reader(const std::string& file_path) : path(file_path) {
    file = std::fopen(path.c_str(), "rb");
    if (file == nullptr) fail(path, ": cannot open: ", std::strerror(errno));
    xz = path.ends_with(".xz");
    const std::string inner = xz ? path.substr(0, path.size() - 3) : path;
    json = inner.ends_with(".jsonl");
    in.resize(kBlockBytes);
    if (xz && lzma_stream_decoder(&stream, kXzMemoryBytes, LZMA_CONCATENATED) != LZMA_OK)
      fail(path, ": cannot start liblzma");
  }
  ~Reader() {
    lzma_end(&stream);
    if (file != nullptr) std::fclose(file);
  }

  size_t read_file(std::byte* data, size_t bytes) {
    const size_t got = std::fread(data, 1, bytes, file);
    if (got < bytes && std::ferror(file) != 0)
      fail(path, ": offset ", bytes_read + got, ": read error: ", std::strerror(errno));
    bytes_read += got;
    return got;
  }

  // Appends a block of text to `buffer`; false at the end of the file.
  bool fill() {
    buffer.erase(0, position);
    position = 0;
    const size_t old = buffer.size();
    buffer.resize(old + kBlockBytes);
    size_t got = 0;
    auto* out = reinterpret_cast<std::byte*>(buffer.data() + old);
    if (!xz) {
      got = read_file(out, kBlockBytes);
    } else {
      got = unpack(out);
    }
    buffer.resize(old + got);
    return got > 0;
  }

  size_t unpack(std::byte* out) {
    stream.next_out = reinterpret_cast<uint8_t*>(out);
    stream.avail_out = kBlockBytes;
    while (stream.avail_out > 0 && !ended) {
      if (stream.avail_in == 0) {
        stream.next_in = reinterpret_cast<const uint8_t*>(in.data());
        stream.avail_in = read_file(in.data(), in.size());
      }
      const lzma_ret result = lzma_code(&stream, stream.avail_in == 0 ? LZMA_FINISH : LZMA_RUN);
      ended = result == LZMA_STREAM_END;
      if (result != LZMA_OK && !ended) {
        fail(path, ": near offset ", bytes_read - stream.avail_in, ": damaged or truncated xz stream (liblzma code ",
             static_cast<int>(result), ")");
      }
    }
    return kBlockBytes - stream.avail_out;
  }

  // The next line without its end; false at the end of the file.
  bool next_line(std::string* line) {
    size_t end = buffer.find('\n', position);
    while (end == std::string::npos) {
      const size_t searched = buffer.size() - position;
      if (!fill()) {
        if (buffer.size() == position) return false;
        end = buffer.size();
        break;
      }
      end = buffer.find('\n', position + searched);
    }
    line->assign(buffer, position, end - position);
    position = std::min(end + 1, buffer.size());
    if (line_number == 0 && line->starts_with("\xEF\xBB\xBF")) line->erase(0, 3);
    if (line->ends_with('\r')) line->pop_back();
    ++line_number;
    return true;
  }

  std::string path;
  FILE* file = nullptr;
  bool xz = false, json = false, ended = false;
  lzma_stream stream = LZMA_STREAM_INIT;
  std::vector<std::byte> in;
  std::string buffer;
  size_t position = 0;
  int64_t line_number = 0;
  uint64_t bytes_read = 0;
};

TextSource::TextSource(std::vector<std::string> paths, TxtDocuments txt) : paths_(std::move(paths)), txt_(txt) {
  for (const std::string& path : paths_) {
    Reader probe(path);
    std::error_code error;
    total_bytes_ += std::filesystem::file_size(path, error);
    if (error) fail(path, ": not a regular file");
  }
}

TextSource::~TextSource() = default;

uint64_t TextSource::file_bytes() const { return total_bytes_; }

uint64_t TextSource::file_bytes_done() const { return finished_bytes_ + (reader_ ? reader_->bytes_read : 0); }

bool TextSource::open_next() {
  if (reader_) finished_bytes_ += reader_->bytes_read;
  reader_.reset();
  if (next_path_ == paths_.size()) return false;
  reader_ = std::make_unique<Reader>(paths_[next_path_++]);
  return true;
}

bool TextSource::next(TextRecord* record) {
  record->raw.clear();
  std::string line;
  while (reader_ || open_next()) {
    const bool whole_line = reader_->json || txt_ == TxtDocuments::kLine;
    bool more = true;
    while ((more = reader_->next_line(&line))) {
      const bool blank = line.find_first_not_of(" \t") == std::string::npos;
      if (record->raw.empty()) {
        if (blank) continue;
        record->line = reader_->line_number;
      } else if (blank && txt_ == TxtDocuments::kBlankLine) {
        break;
      } else {
        record->raw += '\n';
      }
      record->raw += line;
      if (whole_line) break;
    }
    record->path = reader_->path;
    record->json = reader_->json;
    if (!more) {
      if (!open_next() && record->raw.empty()) return false;
    }
    if (!record->raw.empty()) return true;
  }
  return false;
}

}  // namespace sixteen
