// See validation.h.
#include "trainer/validation.h"

#include "formats/error.h"
#include "formats/shard.h"

namespace sixteen {

Validation::Validation(const std::string& pattern, const std::string& tokenizer_path, int64_t vocab, int64_t seq_len,
                       int64_t max_tokens)
    : tokens_(read_shards(pattern, vocab)) {
  const Tokenizer tokenizer(tokenizer_path);
  if (tokenizer.vocab() != vocab) {
    fail(tokenizer_path, ": vocabulary of ", tokenizer.vocab(), " pieces, but the model's is ", vocab,
         "; use the tokenizer that made the shards and set [model] vocab to its size");
  }
  tables_ = tokenizer.byte_tables(vocab);
  if (max_tokens > 0 && static_cast<int64_t>(tokens_.size()) > max_tokens + 1) tokens_.resize(max_tokens + 1);
  if (static_cast<int64_t>(tokens_.size()) < seq_len + 1) {
    fail(pattern, ": ", tokens_.size(), " validation tokens, but one window needs ", seq_len + 1,
         "; give more text or a smaller seq_len");
  }
  windows_ = plain_windows(targets(), seq_len, false);
}

ScoreSum Validation::run(Session* session, bool looping, const Console& console,
                         const std::function<void()>& after_batch) const {
  Progress progress(console, "validation", windows_.size(), "windows");
  ScoreOptions options;
  options.looping = looping;
  return score_windows(session, tokens_, windows_, &tables_, options, nullptr, [&](int64_t done) {
    progress.update(static_cast<uint64_t>(done));
    after_batch();
  });
}

}  // namespace sixteen
