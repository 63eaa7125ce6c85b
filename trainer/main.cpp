// sixteen-train: text -> tokenizer, token shards -> checkpoint.
#include "model/console.h"
#include "trainer/commands.h"

int main(int argc, char** argv) {
  return sixteen::run_main("sixteen-train", "Makes sample text, a tokenizer, token shards, and trains language models.",
                           argc, argv, [](CLI::App&) {});
}
