// The subcommands of sixteen-eval, each in a file of its own (cmd_NAME.cpp).
#pragma once

namespace CLI {
class App;
}

namespace sixteen {

void add_compress_command(CLI::App& app);
void add_decompress_command(CLI::App& app);
void add_score_command(CLI::App& app);
void add_text_command(CLI::App& app);
void add_generate_command(CLI::App& app);
void add_verify_command(CLI::App& app);
void add_eval_bench_command(CLI::App& app);

}  // namespace sixteen
