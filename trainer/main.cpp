// sixteen-train: text -> tokenizer, token shards -> checkpoint.
#include "model/console.h"
#include "trainer/commands.h"

int main(int argc, char** argv) {
  return sixteen::run_main("sixteen-train", "Makes sample text, a tokenizer, token shards, and trains language models.",
                           argc, argv, [](CLI::App& app) {
                             sixteen::add_corpus_command(app);
                             sixteen::add_tokenizer_command(app);
                             sixteen::add_tokenize_command(app);
                             sixteen::add_run_command(app);
                             sixteen::add_bench_command(app);
                           });
}
