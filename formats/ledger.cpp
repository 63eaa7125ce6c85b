// See ledger.h.
#include "formats/ledger.h"

#include "formats/check.h"
#include "formats/error.h"
#include "formats/json.h"
#include "formats/sha256.h"

namespace sixteen {
namespace {

constexpr std::string_view kFirstLine = "sixteen ledger 1\n";
constexpr size_t kHexDigits = 64;

std::string next_hash(const std::string& head, std::string_view record) { return text_digest(head + std::string(record)); }

// "" or what is wrong with the line; fills in the record.
std::string parse_line(std::string_view line, const std::string& head, LedgerRecord* record) {
  const std::string at = "offset " + std::to_string(record->offset) + ": ";
  if (line.size() < kHexDigits + 1 || line[kHexDigits] != ' ') return at + "expected a SHA-256 in hex and a blank";
  record->hash = line.substr(0, kHexDigits);
  record->text = line.substr(kHexDigits + 1);
  const std::string expected = next_hash(head, record->text);
  if (record->hash != expected) return at + "the chain breaks: expected SHA-256 " + expected + ", found " + one_line(record->hash);
  try {
    record->body = parse_json_object(record->text, at.substr(0, at.size() - 2));
  } catch (const Error& error) {
    return error.what();
  }
  const auto kind = record->body.find("kind");
  if (kind == record->body.end() || !kind->is_string()) return at + "expected a record with a \"kind\"";
  record->kind = kind->get<std::string>();
  return "";
}

}  // namespace

std::string text_digest(std::string_view text) { return to_hex(sha256(std::as_bytes(std::span(text)))); }

Ledger parse_ledger(std::span<const std::byte> file, const std::string& where) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (!text.starts_with(kFirstLine)) fail(where, ": no ledger: expected the first line \"sixteen ledger 1\"");
  Ledger ledger;
  ledger.good_bytes = kFirstLine.size();
  ledger.head = text_digest(kFirstLine);
  while (ledger.good_bytes < text.size()) {
    const size_t end = text.find('\n', ledger.good_bytes);
    if (end == std::string_view::npos) {
      ledger.torn = true;
      ledger.fault = "offset " + std::to_string(ledger.good_bytes) + ": the file ends within a record";
      return ledger;
    }
    LedgerRecord record{.offset = ledger.good_bytes, .kind = {}, .body = {}, .text = {}, .hash = {}};
    ledger.fault = parse_line(text.substr(ledger.good_bytes, end - ledger.good_bytes), ledger.head, &record);
    if (!ledger.fault.empty()) return ledger;
    ledger.head = record.hash;
    ledger.good_bytes = end + 1;
    ledger.records.push_back(std::move(record));
  }
  return ledger;
}

Ledger read_ledger(const std::string& path) {
  const MappedFile file(path);
  return parse_ledger(file.bytes(), path);
}

LedgerFile::LedgerFile(const std::string& path) : file_(path, 0), head_(text_digest(kFirstLine)) {
  file_.append(kFirstLine.data(), kFirstLine.size());
}

LedgerFile::LedgerFile(const std::string& path, const Ledger& ledger) : file_(path, ledger.good_bytes), head_(ledger.head) {}

void LedgerFile::append(const nlohmann::json& body) {
  CHECK(body.is_object() && body.contains("kind"));
  const std::string text = record_text(body);
  head_ = next_hash(head_, text);
  const std::string line = head_ + ' ' + text + '\n';
  file_.append(line.data(), line.size());  // one write: a kill leaves a prefix of the line
}

std::string record_text(const nlohmann::json& body) { return print_json(body); }

}  // namespace sixteen
