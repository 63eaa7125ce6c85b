// sixteen-train tokenizer: options and report.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "model/console.h"
#include "model/number_checks.h"
#include "trainer/commands.h"
#include "trainer/tokenizer_train.h"

namespace sixteen {
namespace {

struct TokenizerOptions {
  Console console;
  TokenizerTraining training;
  std::string txt_documents = "blank-line";
};

void run_tokenizer(TokenizerOptions options) {
  install_interrupt_handler();
  options.training.txt = parse_txt_documents(options.txt_documents);
  const TokenizerTrained report = train_tokenizer(options.training, options.console);
  options.console.say(options.training.out, ": ", options.training.vocab, " pieces from ", report.documents_used,
                      " of ", report.documents, " documents (", report.text_bytes_used, " of ", report.text_bytes,
                      " bytes) in ", format_duration(report.seconds));
  options.console.result({{"out", options.training.out},
                          {"vocab", options.training.vocab},
                          {"documents", report.documents},
                          {"documents_used", report.documents_used},
                          {"text_bytes", report.text_bytes},
                          {"text_bytes_used", report.text_bytes_used},
                          {"seconds", report.seconds}});
}

}  // namespace

void add_tokenizer_command(CLI::App& app) {
  auto options = std::make_shared<TokenizerOptions>();
  CLI::App* command =
      app.add_subcommand("tokenizer", "Train a SentencePiece BPE tokenizer with the challenge's settings");
  command->add_option("--text", options->training.text, "text files: .txt or .jsonl (field \"text\"), also .xz")
      ->required();
  command->add_option("--vocab", options->training.vocab, "pieces, with the 256 bytes and 4 marks (300 to 65536)");
  command->add_option("--out", options->training.out, "the .model file to write")->required();
  command->add_option("--max-bytes", options->training.max_bytes,
                      "bytes of text used at most; of more text a fixed random sample of documents")
      ->check(kPositive);
  command->add_option("--txt-documents", options->txt_documents,
                      "what ends a document of a .txt file: blank-line, line or file");
  command->add_flag("--verbose", options->training.verbose, "show SentencePiece's own log");
  add_console_options(*command, &options->console);
  command->callback([options] { run_tokenizer(*options); });
}

}  // namespace sixteen
