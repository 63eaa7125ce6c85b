// Sample text of our own: English-like documents of several genres about one made-up world, for the demo and for tests.
//
// What a model can learn from it: words, sentences and genres; the world's facts, which recur in all documents (who is mayor
// of which town, who makes what); and what is only said in this document (names, numbers, things), which recurs below.
// Bites: the same bytes for the same seed on every machine. The world does not depend on the seed, the documents do.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "model/console.h"

namespace sixteen {

// Documents by number; each depends on the seed and its number alone.
class SampleCorpus {
 public:
  explicit SampleCorpus(uint64_t seed);
  ~SampleCorpus();
  std::string document(uint64_t number);  // paragraphs, one a line, no line break at the end

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct CorpusWritten {
  int64_t documents = 0;
  uint64_t text_bytes = 0;  // of the documents alone
  uint64_t file_bytes = 0;
  double seconds = 0;
};

// Writes whole documents until the file has at least `bytes` bytes. A path that ends in .jsonl gets {"text": ...} a line,
// any other gets plain text with an empty line after each document. Atomic.
CorpusWritten write_corpus(const std::string& path, uint64_t bytes, uint64_t seed, const Console& console);

}  // namespace sixteen
