// session_scorer MODEL TOKENIZER CONFIG plain|sliding|ttt: our own scoring behind the line protocol (docs/SCORER.md), so that verify
// judges the real thing: the session, its windows and its test-time training.
//
// Bites: training moves the session's weights, so every score starts by setting them anew. The length of the stream is declared as side
// information: the last sliding window ends where the stream does, and the learning rate's schedule depends on the number of chunks.
#include <memory>

#include "evaluator/scoring.h"
#include "formats/config_file.h"
#include "model/checkpoint.h"
#include "tests/scorers/protocol.h"

namespace sixteen::testing {
namespace {

int run(const std::string& model_path, const std::string& tokenizer_path, const std::string& config, const std::string& kind) {
  const Model model = load_model(model_path);
  const Tokenizer tokenizer(tokenizer_path);
  const ByteTables tables = tokenizer.byte_tables(model.config.vocab);
  const Scoring scoring = kind == "ttt" ? Scoring::kTraining : kind == "sliding" ? Scoring::kSliding : Scoring::kPlain;
  ScoreMethod method{.scoring = scoring, .hash = false, .config = {}};
  ConfigFile file(config);
  method.config = read_eval_config(file.section("eval"), config);
  validate(&method.config, model.config, scoring, config);
  Session session(make_device("cpu", 1), model.config, model.table);

  Hooks hooks;
  hooks.load = [&](const Json&) {
    return Json{{"name", "sixteen-eval, " + method_text(method)}, {"vocab", model.config.vocab}, {"min_tokens", method.config.window + 1}, {"knows_length", kind != "plain"}};
  };
  hooks.score = [&](const Tokens& tokens) {
    session.set_weights(model.store);
    const ScoreOutcome r = run_scoring(method, &session, tokens, tables, tokenizer.bos_id(), true, Console{.json = false, .quiet = true});
    return Json{{"nll", r.nll}, {"total", r.sum.nll}, {"targets", r.sum.targets}, {"bytes", r.sum.bytes}, {"bpb", r.sum.bpb()}};
  };
  return serve(hooks);
}

}  // namespace
}  // namespace sixteen::testing

int main(int argc, char** argv) {
  if (argc != 5) return std::cerr << "usage: session_scorer MODEL TOKENIZER CONFIG plain|sliding|ttt\n", 2;
  return sixteen::testing::run(argv[1], argv[2], argv[3], argv[4]);
}
