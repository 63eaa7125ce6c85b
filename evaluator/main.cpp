// sixteen-eval: the score of a model in bits per byte, of validation shards or of any text; samples of its text.
#include "evaluator/commands.h"
#include "model/console.h"

int main(int argc, char** argv) {
  return sixteen::run_main("sixteen-eval", "Scores models in bits per byte and samples from them.", argc, argv,
                           [](CLI::App& app) {
                             sixteen::add_score_command(app);
                             sixteen::add_text_command(app);
                             sixteen::add_compress_command(app);
                             sixteen::add_decompress_command(app);
                             sixteen::add_generate_command(app);
                             sixteen::add_verify_command(app);
                             sixteen::add_eval_bench_command(app);
                           });
}
