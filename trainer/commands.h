// The subcommands of sixteen-train, each in a file of its own (cmd_NAME.cpp): options and help there, the work elsewhere.
#pragma once

namespace CLI {
class App;
}

namespace sixteen {

void add_corpus_command(CLI::App& app);
void add_tokenizer_command(CLI::App& app);
void add_tokenize_command(CLI::App& app);
void add_run_command(CLI::App& app);
void add_bench_command(CLI::App& app);

}  // namespace sixteen
