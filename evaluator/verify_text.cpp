// The raw documents against the scored tokens (verify.h): legality B1 and B4.
//
// Bites: the official denominator is the decoded text. A tokenizer that normalises (nmt_nfkc) loses some bytes of the original; the
// difference is reported, not judged.
#include <nlohmann/json.hpp>

#include "evaluator/verify.h"
#include "formats/error.h"
#include "formats/json.h"

namespace sixteen {
namespace {

struct TextTotals {
  int64_t documents = 0, table = 0, original = 0;
};

// One document's tokens [begin, end), BOS first. "" or what is wrong.
std::string check_document(const Tokenizer& tokenizer, const LedgerCase& c, const std::string& text, size_t begin, size_t end, TextTotals* totals) {
  const std::vector<int32_t> ids(c.tokens.begin() + static_cast<std::ptrdiff_t>(begin) + 1, c.tokens.begin() + static_cast<std::ptrdiff_t>(end));
  int64_t bytes = 0;
  for (size_t i = begin + 1; i < end; ++i) bytes += c.tables.bytes(c.tokens[i], c.tokens[i - 1]);
  const std::string decoded = tokenizer.decode(ids);
  ++totals->documents;
  totals->table += bytes;
  totals->original += static_cast<int64_t>(text.size());
  if (tokenizer.encode(text) != ids) return "its text is not what the tokens were made from";
  if (bytes != static_cast<int64_t>(decoded.size())) return std::to_string(bytes) + " bytes by the tables, " + std::to_string(decoded.size()) + " decoded";
  return "";
}

}  // namespace

void check_text(const VerifyOptions& o, const LedgerCase& c, Verdict* verdict) {
  if (o.text.empty()) {
    verdict->skip(Condition::kBytes, "raw text", "give --text DOCUMENTS.jsonl: bytes come from the tokenizer's tables alone");
    return;
  }
  const Tokenizer tokenizer(o.tokenizer);
  const MappedFile file(o.text);
  const std::string_view all(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  TextTotals totals;
  size_t token = 0, line = 0;
  for (size_t at = 0; at < all.size() && token < c.tokens.size(); ++line) {
    const size_t end = std::min(all.find('\n', at), all.size());
    const std::string_view raw = all.substr(at, end - at);
    at = end + 1;
    if (raw.empty()) continue;
    const std::string where = o.text + ":" + std::to_string(line + 1);
    const nlohmann::json document = parse_json_object(raw, where);
    if (!document.contains("text") || !document.at("text").is_string()) fail(where, ": expected an object with a \"text\"");
    size_t next = token + 1;
    while (next < c.tokens.size() && c.tokens[next] != c.bos) ++next;
    std::string fault = c.tokens[token] == c.bos ? "" : "the stream has no BOS here";
    const bool cut = next == c.tokens.size() && at < all.size();  // the stream may end within a document
    if (fault.empty() && !cut) fault = check_document(tokenizer, c, document.at("text"), token, next, &totals);
    if (!fault.empty()) {
      verdict->fault(Condition::kBytes, "raw text", where + ": " + fault, static_cast<int64_t>(token));
      return;
    }
    token = next;
  }
  if (token < c.tokens.size()) {
    verdict->fault(Condition::kBytes, "raw text", o.text + ": ends before the stream does", static_cast<int64_t>(token));
    return;
  }
  verdict->pass(Condition::kBytes, "raw text", std::to_string(totals.documents) + " documents encode to the scored tokens and decode to " +
                                                   std::to_string(totals.table) + " bytes; " + std::to_string(totals.original) + " in the original text");
}

}  // namespace sixteen
