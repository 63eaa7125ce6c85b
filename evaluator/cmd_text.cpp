// sixteen-eval text: bits per byte of any text files, document by document, in plain windows.
//
// Bites: the bytes counted are those of the tokens, after the tokenizer's normalisation; a file whose own bytes differ shows both.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "evaluator/commands.h"
#include "formats/error.h"
#include "formats/file.h"
#include "model/checkpoint.h"
#include "model/console.h"
#include "model/number_checks.h"
#include "model/score.h"

namespace sixteen {
namespace {

struct TextCommand {
  std::string model, tokenizer, device = "cpu";
  std::vector<std::string> files;
  int64_t window = 0;
  int threads = 0;
  Console console;
};

void run(const TextCommand& o) {
  install_interrupt_handler();
  const Model model = load_model(o.model);
  const Tokenizer tokenizer(o.tokenizer);
  if (tokenizer.vocab() != model.config.vocab) {
    fail(o.tokenizer, ": vocabulary of ", tokenizer.vocab(), " pieces, but ", o.model, " has ", model.config.vocab);
  }
  const ByteTables tables = tokenizer.byte_tables(model.config.vocab);
  Session session(make_device(o.device, o.threads), model.config, model.table);
  session.set_weights(model.store);
  const int64_t window = o.window > 0 ? o.window : model.config.rope.train_len;
  ScoreSum all;
  nlohmann::ordered_json listed = nlohmann::ordered_json::array();
  for (const std::string& path : o.files) {
    const std::string text = read_text_file(path);
    std::vector<uint16_t> tokens = {static_cast<uint16_t>(tokenizer.bos_id())};
    for (const int32_t id : tokenizer.encode(text)) tokens.push_back(static_cast<uint16_t>(id));
    if (tokens.size() < 2) fail(path, ": no text to score");
    const int64_t targets = static_cast<int64_t>(tokens.size()) - 1;
    // Half a window of context for every target, at twice the cost of windows side by side.
    const std::vector<Window> windows = sliding_windows(targets, window, std::max<int64_t>(1, window / 2), false);
    const ScoreSum sum = score_windows(&session, tokens, windows, &tables, {}, nullptr, [](int64_t) { stop_if_interrupted(); });
    all.add(sum);
    char bpb[32];
    std::snprintf(bpb, sizeof(bpb), "%8.4f", sum.bpb());
    o.console.say(bpb, " bits per byte  ", path, "  (", sum.bytes, " bytes",
                  static_cast<size_t>(sum.bytes) == text.size() ? "" : " normalised, " + std::to_string(text.size()) + " in the file", ", ",
                  sum.targets, " tokens)");
    listed.push_back({{"file", path}, {"bpb", sum.bpb()}, {"bytes", sum.bytes}, {"file_bytes", text.size()}, {"tokens", sum.targets}});
  }
  o.console.result({{"files", listed}, {"bpb", all.bpb()}, {"bytes", all.bytes}, {"targets", all.targets}});
}

}  // namespace

void add_text_command(CLI::App& app) {
  auto o = std::make_shared<TextCommand>();
  CLI::App* c = app.add_subcommand("text", "Bits per byte of text files under a model");
  add_console_options(*c, &o->console);
  c->add_option("model", o->model, "artifact (.s16) or checkpoint (.safetensors)")->required();
  c->add_option("files", o->files, "text files, each one document")->required();
  c->add_option("--tokenizer", o->tokenizer, "SentencePiece model that the model was trained with")->required();
  c->add_option("--window", o->window, "tokens of a window; default: the model's training length")->check(kPositive);
  c->add_option("--device", o->device, "cpu or cuda")->capture_default_str();
  c->add_option("--threads", o->threads, "CPU threads; 0: all cores")->check(kNonNegative)->capture_default_str();
  c->callback([o] { run(*o); });
}

}  // namespace sixteen
