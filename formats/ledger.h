// The container of a ledger: records as lines of JSON, each with the SHA-256 of the one before and itself (docs/FORMATS.md 10).
//
// Bites: the chain shows that no record was changed, left out or put in after the last one; it cannot show when records were
// written. A file that ends within a line is what a killed run leaves: whole records before that are good.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/file.h"

namespace sixteen {

struct LedgerRecord {
  uint64_t offset = 0;      // of its line in the file
  std::string kind;         // "open", "score", ...
  nlohmann::json body;      // an object; "kind" is in it
  std::string text, hash;   // as they stand in the file
};

struct Ledger {
  std::vector<LedgerRecord> records;  // from the first to the last whose hash holds
  uint64_t good_bytes = 0;            // where the last of them ends
  std::string fault;                  // what is wrong behind them: "", or offset, expected and found
  bool torn = false;                  // the fault is an unfinished last line
  std::string head;                   // hash of the last record (of the first line when there is none)
};

// A complete file. Throws Error where the first line is not a ledger's; all other damage is in `fault`.
Ledger parse_ledger(std::span<const std::byte> file, const std::string& where);
Ledger read_ledger(const std::string& path);

// Appends records to a new ledger, or behind the good records of one that is there.
class LedgerFile {
 public:
  explicit LedgerFile(const std::string& path);
  LedgerFile(const std::string& path, const Ledger& ledger);
  void append(const nlohmann::json& body);  // an object with "kind"
  void sync() { file_.sync(); }

 private:
  AppendFile file_;
  std::string head_;
};

std::string record_text(const nlohmann::json& body);    // as it is hashed
std::string text_digest(std::string_view text);         // SHA-256 in hex

}  // namespace sixteen
