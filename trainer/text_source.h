// Documents out of text files: .txt or .jsonl, each plain or as .xz, one after another in the order given.
//
// .jsonl: a JSON object a line, its "text" field is a document, other fields are ignored.
// Anything else is plain text: by default a line is a paragraph and an empty line ends the document (what 'corpus' writes);
// or every line, or the whole file, is a document.
// Bites: text must be UTF-8; a file that is not is refused with its line, never guessed at. A BOM is dropped. Records are
// handed out unparsed so that many threads can share the parsing: next() is for one thread at a time, document_text() for any.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sixteen {

enum class TxtDocuments { kBlankLine, kLine, kFile };

TxtDocuments parse_txt_documents(const std::string& name);  // "blank-line", "line", "file"; throws UsageError

struct TextRecord {
  std::string raw;  // a JSON line, or a document's text
  std::string path;
  int64_t line = 0;  // its first line in the (unpacked) file, from 1
  bool json = false;
};

// The document's text. Throws Error (path, line) for malformed JSON, a missing "text" string or bytes that are not UTF-8.
std::string document_text(const TextRecord& record);

class TextSource {
 public:
  // Throws Error when a file cannot be read; each is opened once now, so that a typo is found before hours of work.
  explicit TextSource(std::vector<std::string> paths, TxtDocuments txt = TxtDocuments::kBlankLine);
  ~TextSource();

  // False at the end of the last file. Empty lines of .jsonl and empty documents are skipped.
  bool next(TextRecord* record);

  uint64_t file_bytes() const;       // of all files as they lie on disk
  uint64_t file_bytes_done() const;  // read so far

 private:
  struct Reader;
  bool open_next();

  std::vector<std::string> paths_;
  TxtDocuments txt_;
  size_t next_path_ = 0;
  uint64_t total_bytes_ = 0, finished_bytes_ = 0;
  std::unique_ptr<Reader> reader_;
};

}  // namespace sixteen
