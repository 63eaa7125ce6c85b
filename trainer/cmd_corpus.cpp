// sixteen-train corpus: options and report.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "model/console.h"
#include "model/number_checks.h"
#include "trainer/commands.h"
#include "trainer/corpus.h"

namespace sixteen {
namespace {

struct CorpusOptions {
  Console console;
  std::string out;
  uint64_t bytes = 12'000'000;
  uint64_t seed = 1;
};

void run_corpus(const CorpusOptions& options) {
  install_interrupt_handler();
  const CorpusWritten written = write_corpus(options.out, options.bytes, options.seed, options.console);
  options.console.say(options.out, ": ", written.documents, " documents, ", written.file_bytes, " bytes");
  options.console.result({{"out", options.out},
                          {"seed", options.seed},
                          {"documents", written.documents},
                          {"text_bytes", written.text_bytes},
                          {"file_bytes", written.file_bytes},
                          {"seconds", written.seconds}});
}

}  // namespace

void add_corpus_command(CLI::App& app) {
  auto options = std::make_shared<CorpusOptions>();
  CLI::App* command = app.add_subcommand("corpus", "Write sample text of our own: documents about a made-up world");
  command
      ->add_option("--out", options->out, "file to write: .jsonl, else plain text with an empty line after a document")
      ->required();
  command->add_option("--bytes", options->bytes, "size of the file in bytes (at least; the last document is whole)")
      ->check(kPositive);
  command->add_option("--seed", options->seed, "another seed gives other documents about the same world")->check(kNonNegative);
  add_console_options(*command, &options->console);
  command->callback([options] { run_corpus(*options); });
}

}  // namespace sixteen
