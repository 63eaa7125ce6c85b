// A SentencePiece BPE model with the challenge's settings: byte fallback, digits split, nmt_nfkc, no dummy prefix, ids
// 0 pad, 1 bos, 2 eos, 3 unk, character coverage 0.999 (the trainer_spec inside fineweb_8192_bpe.model).
//
// Bites: SentencePiece silently drops sentences over 4192 bytes, so documents are handed over in pieces that end at line
// breaks or blanks. No merge crosses a blank, so that changes nothing else.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/console.h"
#include "trainer/text_source.h"

namespace sixteen {

struct TokenizerTraining {
  std::vector<std::string> text;
  TxtDocuments txt = TxtDocuments::kBlankLine;
  int64_t vocab = 1024;
  uint64_t max_bytes = 100'000'000;  // of text; from more text a random sample of documents, the same on every machine
  std::string out;
  bool verbose = false;  // SentencePiece's own log on stderr
};

struct TokenizerTrained {
  int64_t documents = 0, documents_used = 0;
  uint64_t text_bytes = 0, text_bytes_used = 0;
  double seconds = 0;
};

// Writes the model to `out`, atomically. Throws Error when the text is too small or too poor for that vocabulary.
TokenizerTrained train_tokenizer(const TokenizerTraining& training, const Console& console);

}  // namespace sixteen
