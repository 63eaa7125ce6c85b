// sixteen-eval generate: a prompt goes on.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "evaluator/commands.h"
#include "evaluator/sampler.h"
#include "formats/error.h"
#include "formats/tokenizer.h"
#include "model/checkpoint.h"
#include "model/console.h"
#include "model/number_checks.h"

namespace sixteen {
namespace {

struct GenerateCommand {
  std::string model, tokenizer, prompt, device = "cpu";
  int64_t tokens = 100;
  SampleOptions sample;
  int threads = 0;
  Console console;
};

void run(const GenerateCommand& o) {
  install_interrupt_handler();
  const Model model = load_model(o.model);
  const Tokenizer tokenizer(o.tokenizer);
  if (tokenizer.vocab() != model.config.vocab) {
    fail(o.tokenizer, ": vocabulary of ", tokenizer.vocab(), " pieces, but ", o.model, " has ", model.config.vocab);
  }
  Session session(make_device(o.device, o.threads), model.config, model.table);
  session.set_weights(model.store);
  std::vector<int32_t> context = {tokenizer.bos_id()};
  for (const int32_t id : tokenizer.encode(o.prompt)) context.push_back(id);
  Sampler sampler(&session, o.sample);
  std::vector<int32_t> text(context.begin() + 1, context.end());
  const bool aloud = !o.console.quiet && !o.console.json;
  std::string decoded = tokenizer.decode(text);
  size_t shown = 0;
  const auto show = [&](size_t end) {
    if (aloud && end > shown) std::cout << decoded.substr(shown, end - shown) << std::flush;
    shown = std::max(shown, end);
  };
  for (int64_t i = 0; i < o.tokens && !interrupted(); ++i) {
    const int32_t id = sampler.next(context);
    if (id == tokenizer.bos_id()) break;  // the document is over
    context.push_back(id);
    text.push_back(id);
    decoded = tokenizer.decode(text);
    show(settled_bytes(decoded));
  }
  show(decoded.size());
  if (aloud) std::cout << "\n";
  o.console.result({{"prompt", o.prompt}, {"text", decoded}, {"tokens", text.size()}});
}

}  // namespace

void add_generate_command(CLI::App& app) {
  auto o = std::make_shared<GenerateCommand>();
  CLI::App* c = app.add_subcommand("generate", "Sample text from a model");
  add_console_options(*c, &o->console);
  c->add_option("model", o->model, "artifact (.s16) or checkpoint (.safetensors)")->required();
  c->add_option("--tokenizer", o->tokenizer, "SentencePiece model that the model was trained with")->required();
  c->add_option("--prompt", o->prompt, "text to go on from; empty: a new document");
  c->add_option("--tokens", o->tokens, "most tokens to draw; stops at the end of the document")
      ->check(kNonNegative)
      ->capture_default_str();
  c->add_option("--temperature", o->sample.temperature, "0: always the likeliest token")->check(kNonNegative)->capture_default_str();
  c->add_option("--top-k", o->sample.top_k, "draw from the k likeliest; 0: from all")->check(kNonNegative)->capture_default_str();
  c->add_option("--seed", o->sample.seed, "of the draws")->check(kNonNegative)->capture_default_str();
  c->add_option("--device", o->device, "cpu or cuda")->capture_default_str();
  c->add_option("--threads", o->threads, "CPU threads; 0: all cores")->check(kNonNegative)->capture_default_str();
  c->callback([o] { run(*o); });
}

}  // namespace sixteen
