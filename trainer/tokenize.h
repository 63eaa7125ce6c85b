// Text -> token shards: BOS before each document, documents one after another across shard boundaries, no EOS.
//
// Documents are put in a random order first (or kept in the order given); the first val_documents of that order become
// PREFIX_val_NNNNNN.bin, the rest PREFIX_train_NNNNNN.bin. The shards depend on the text, the tokenizer and the seed, never
// on the number of threads.
// Bites: shuffling keeps all tokens in memory (2 bytes each, 100 MB for 180 MB of text); without it, one shard's. A folder
// that already has shards of this prefix is refused, since whoever reads PREFIX_train_*.bin would mix old and new.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/console.h"
#include "trainer/text_source.h"

namespace sixteen {

struct Tokenization {
  std::string tokenizer;
  std::vector<std::string> text;
  TxtDocuments txt = TxtDocuments::kBlankLine;
  std::string out;  // folder, made when absent
  std::string prefix = "tokens";
  int64_t val_documents = 0;
  int64_t shard_tokens = 100'000'000;
  bool shuffle = true;
  uint64_t seed = 1;
  bool overwrite = false;  // replace all shards of this prefix that are there
  int threads = 0;         // 0: one a core
};

struct SplitCounts {
  int64_t documents = 0, tokens = 0;  // tokens with one BOS a document
  int64_t bytes = 0;                  // by the byte tables: what bits per byte divides by
  std::vector<std::string> files;
};

struct Tokenized {
  SplitCounts val, train;
  int64_t text_bytes = 0;  // UTF-8, before the tokenizer's normalisation
  double seconds = 0;
};

// Throws Error and leaves no new shard behind when anything fails.
Tokenized tokenize(const Tokenization& job, const Console& console);

}  // namespace sixteen
