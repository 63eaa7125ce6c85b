// sixteen-train tokenize: options and report.
#include <CLI/CLI.hpp>
#include <iomanip>
#include <memory>
#include <nlohmann/json.hpp>

#include "model/console.h"
#include "model/number_checks.h"
#include "trainer/commands.h"
#include "trainer/tokenize.h"

namespace sixteen {
namespace {

struct TokenizeOptions {
  Console console;
  Tokenization job;
  std::string txt_documents = "blank-line";
  bool no_shuffle = false;
};

double bytes_per_token(const SplitCounts& split) {
  return split.tokens == 0 ? 0 : static_cast<double>(split.bytes) / static_cast<double>(split.tokens);
}

nlohmann::json split_json(const SplitCounts& split) {
  return {{"documents", split.documents},
          {"tokens", split.tokens},
          {"bytes", split.bytes},
          {"bytes_per_token", bytes_per_token(split)},
          {"files", split.files}};
}

void run_tokenize(TokenizeOptions options) {
  install_interrupt_handler();
  options.job.txt = parse_txt_documents(options.txt_documents);
  options.job.shuffle = !options.no_shuffle;
  const Tokenized result = tokenize(options.job, options.console);
  auto say_split = [&](const char* name, const SplitCounts& split) {
    options.console.say(name, ": ", split.documents, " documents, ", split.tokens, " tokens, ", split.bytes, " bytes, ",
                        std::fixed, std::setprecision(4), bytes_per_token(split), " bytes/token, ", split.files.size(),
                        split.files.size() == 1 ? " shard" : " shards");
  };
  say_split("val", result.val);
  say_split("train", result.train);
  options.console.say(format_count(static_cast<double>(result.text_bytes)), "B of text in ",
                      format_duration(result.seconds), ", ",
                      format_count(static_cast<double>(result.text_bytes) / result.seconds), "B/s");
  options.console.result({{"out", options.job.out},
                          {"tokenizer", options.job.tokenizer},
                          {"val", split_json(result.val)},
                          {"train", split_json(result.train)},
                          {"text_bytes", result.text_bytes},
                          {"seconds", result.seconds}});
}

}  // namespace

void add_tokenize_command(CLI::App& app) {
  auto options = std::make_shared<TokenizeOptions>();
  Tokenization* job = &options->job;
  CLI::App* command =
      app.add_subcommand("tokenize", "Turn text into token shards (PREFIX_train_*.bin, PREFIX_val_*.bin)");
  command->add_option("--tokenizer", job->tokenizer, "SentencePiece .model file")->required();
  command->add_option("--text", job->text, "text files: .txt or .jsonl (field \"text\"), also .xz")->required();
  command->add_option("--out", job->out, "folder for the shards, made when absent")->required();
  command->add_option("--val-docs", job->val_documents, "the first so many documents, after shuffling, are validation");
  command->add_option("--shard-tokens", job->shard_tokens,
                      "tokens in a shard at most; every training rank needs a shard");
  command->add_option("--prefix", job->prefix, "the shards' names begin with it");
  command->add_option("--seed", job->seed, "of the documents' order")->check(kNonNegative);
  command->add_flag("--no-shuffle", options->no_shuffle, "keep the documents in the order given");
  command->add_option("--txt-documents", options->txt_documents,
                      "what ends a document of a .txt file: blank-line, line or file");
  command->add_option("--threads", job->threads, "threads; 0: one a core");
  command->add_flag("--overwrite", job->overwrite, "replace all shards of this prefix that are in the folder");
  add_console_options(*command, &options->console);
  command->callback([options] { run_tokenize(*options); });
}

}  // namespace sixteen
