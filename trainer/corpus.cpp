// See corpus.h. The grammar's text is in corpus_text_*.cpp, its language in corpus_grammar.h.
#include "trainer/corpus.h"

#include <nlohmann/json.hpp>

#include "formats/file.h"
#include "trainer/corpus_grammar.h"
#include "trainer/corpus_text.h"
#include "trainer/corpus_world.h"
#include "trainer/corpus_writer.h"

namespace sixteen {

struct SampleCorpus::Impl {
  explicit Impl(uint64_t seed)
      : grammar(parse_grammar({kWordsText, kNewsText, kHomeText, kPeopleText, kPlacesText, kSportText, kReviewText})),
        writer(grammar, sample_world(), seed) {}
  Grammar grammar;
  CorpusWriter writer;
};

SampleCorpus::SampleCorpus(uint64_t seed) : impl_(std::make_unique<Impl>(seed)) {}
SampleCorpus::~SampleCorpus() = default;
std::string SampleCorpus::document(uint64_t number) { return impl_->writer.document(number); }

CorpusWritten write_corpus(const std::string& path, uint64_t bytes, uint64_t seed, const Console& console) {
  constexpr size_t kBlockBytes = 1 << 20;
  const bool jsonl = path.ends_with(".jsonl");
  OutputFile file(path);
  SampleCorpus corpus(seed);
  CorpusWritten written;
  std::string block;
  Progress progress(console, "corpus", bytes, "B");
  while (written.file_bytes < bytes) {
    const std::string text = corpus.document(static_cast<uint64_t>(written.documents));
    const size_t before = block.size();
    block += jsonl ? nlohmann::json{{"text", text}}.dump() + "\n" : text + "\n\n";
    ++written.documents;
    written.text_bytes += text.size();
    written.file_bytes += block.size() - before;
    if (block.size() >= kBlockBytes || written.file_bytes >= bytes) {
      file.write(block);
      block.clear();
      progress.update(written.file_bytes);
      stop_if_interrupted();
    }
  }
  file.commit();
  progress.finish();
  written.seconds = progress.seconds();
  return written;
}

}  // namespace sixteen
