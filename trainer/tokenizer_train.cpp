// See tokenizer_train.h.
#include "trainer/tokenizer_train.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <chrono>
#include <queue>
#include <unordered_map>

#include "formats/error.h"
#include "formats/file.h"
#include "model/process_clock.h"

namespace sixteen {
namespace {

constexpr size_t kMaxSentenceBytes = 4000;  // SentencePiece's own limit is 4192

// splitmix64 of the document's number: which documents a sample holds depends on nothing else.
uint64_t sample_key(uint64_t index) {
  uint64_t z = index + 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

struct Document {
  uint64_t key;
  int64_t index;
  std::string text;
  bool operator<(const Document& other) const { return key < other.key; }
};

// The documents with the smallest keys that fit into max_bytes together, in their original order.
std::vector<std::string> sample(TextSource* source, uint64_t max_bytes, TokenizerTrained* report,
                                const Console& console) {
  std::priority_queue<Document> kept;
  Progress progress(console, "read", source->file_bytes(), "B");
  TextRecord record;
  while (source->next(&record)) {
    std::string text = document_text(record);
    report->text_bytes += text.size();
    report->text_bytes_used += text.size();
    kept.push({sample_key(static_cast<uint64_t>(report->documents)), report->documents, std::move(text)});
    ++report->documents;
    while (report->text_bytes_used > max_bytes && kept.size() > 1) {
      report->text_bytes_used -= kept.top().text.size();
      kept.pop();
    }
    progress.update(source->file_bytes_done());
    stop_if_interrupted();
  }
  progress.finish();
  report->documents_used = static_cast<int64_t>(kept.size());
  std::vector<Document> documents;
  for (; !kept.empty(); kept.pop()) documents.push_back(std::move(const_cast<Document&>(kept.top())));
  std::sort(documents.begin(), documents.end(), [](const auto& a, const auto& b) { return a.index < b.index; });
  std::vector<std::string> texts;
  for (Document& document : documents) texts.push_back(std::move(document.text));
  return texts;
}

// Documents as sentences of at most kMaxSentenceBytes, cut at line breaks, else at the last blank, else anywhere.
class Sentences : public sentencepiece::SentenceIterator {
 public:
  explicit Sentences(const std::vector<std::string>& texts) : texts_(texts) { Next(); }
  bool done() const override { return done_; }
  const std::string& value() const override { return sentence_; }
  sentencepiece::util::Status status() const override { return {}; }

  void Next() override {
    sentence_.clear();
    while (sentence_.empty() && text_ < texts_.size()) cut();
    done_ = sentence_.empty();
  }

 private:
  void cut() {
    const std::string& text = texts_[text_];
    size_t end = std::min(text.find('\n', position_), text.size());
    size_t skip = 1;
    if (end - position_ > kMaxSentenceBytes) {
      end = position_ + kMaxSentenceBytes;
      const size_t blank = text.rfind(' ', end);
      if (blank != std::string::npos && blank > position_) {
        end = blank;
      } else {
        while ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not inside of a character
        skip = 0;
      }
    }
    sentence_.assign(text, position_, end - position_);
    std::replace(sentence_.begin(), sentence_.end(), '\0', ' ');  // as the challenge's exporter does
    position_ = end + skip;
    if (position_ >= text.size()) {
      ++text_;
      position_ = 0;
    }
  }

  const std::vector<std::string>& texts_;
  size_t text_ = 0, position_ = 0;
  std::string sentence_;
  bool done_ = false;
};

}  // namespace

TokenizerTrained train_tokenizer(const TokenizerTraining& training, const Console& console) {
  if (training.vocab < 300 || training.vocab > 65536) {
    throw UsageError("--vocab " + std::to_string(training.vocab) +
                     ": expected 300 (256 bytes, 4 marks and some pieces) to 65536 (tokens are stored in 16 bits)");
  }
  OutputFile file(training.out);  // an unwritable path is found before the work
  TokenizerTrained report;
  const auto start = std::chrono::steady_clock::now();
  TextSource source(training.text, training.txt);
  const std::vector<std::string> texts = sample(&source, training.max_bytes, &report, console);
  if (texts.empty()) fail(training.text.front(), ": no text in the given files");

  console.say("training ", training.vocab, " pieces on ", format_count(static_cast<double>(report.text_bytes_used)),
              "B of text");
  Sentences sentences(texts);
  const std::unordered_map<std::string, std::string> settings = {{"model_type", "bpe"},
                                                                 {"vocab_size", std::to_string(training.vocab)},
                                                                 {"character_coverage", "0.999"},
                                                                 {"byte_fallback", "true"},
                                                                 {"split_digits", "true"},
                                                                 {"normalization_rule_name", "nmt_nfkc"},
                                                                 {"add_dummy_prefix", "false"},
                                                                 {"hard_vocab_limit", "false"},
                                                                 {"pad_id", "0"},
                                                                 {"bos_id", "1"},
                                                                 {"eos_id", "2"},
                                                                 {"unk_id", "3"},
                                                                 {"minloglevel", training.verbose ? "0" : "2"}};
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(settings, &sentences, &model);
  if (!status.ok()) {
    std::string reason = status.message();  // "source.cc(661) [(condition)] reason"
    if (const size_t end = reason.rfind("] "); end != std::string::npos) reason.erase(0, end + 2);
    reason.erase(std::min(reason.size(), reason.find(" Increase ")));  // its advice names options that we do not have
    fail("--vocab ", training.vocab, ": SentencePiece cannot train on this text: ", reason,
         " Try another --vocab or more text");
  }
  sentencepiece::SentencePieceProcessor trained;
  if (!trained.LoadFromSerializedProto(model).ok())
    fail(training.out, ": SentencePiece cannot read the model it trained");
  if (trained.GetPieceSize() != training.vocab) {
    fail("--vocab ", training.vocab, ": the text yields only ", trained.GetPieceSize(),
         " pieces; give more text or use --vocab ", trained.GetPieceSize());
  }
  file.write(model);
  file.commit();
  report.seconds = seconds_since(start);
  return report;
}

}  // namespace sixteen
