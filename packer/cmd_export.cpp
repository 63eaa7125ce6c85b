// sixteen-pack export: an artifact's dequantised weights as a safetensors checkpoint that any program opens.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "model/checkpoint.h"
#include "model/console.h"
#include "packer/commands.h"

namespace sixteen {
namespace {

struct ExportCommand {
  std::string input, output;
  Console console;
};

void export_model(const ExportCommand& o) {
  const Model model = load_artifact_model(o.input);
  save_checkpoint(o.output, model.config, model.store, {{"exported_from_sha256", to_hex(model.digest)}});
  o.console.say("wrote ", o.output, ": ", model.table->parameters(), " parameters, dequantised");
  o.console.result({{"checkpoint", o.output}, {"parameters", model.table->parameters()}});
}

}  // namespace

void add_export_command(CLI::App& app) {
  auto o = std::make_shared<ExportCommand>();
  CLI::App* c = app.add_subcommand("export", "Write an artifact's dequantised weights: M.s16 -> M.safetensors");
  add_console_options(*c, &o->console);
  c->add_option("artifact", o->input, "artifact (.s16)")->required();
  c->add_option("-o,--out", o->output, "checkpoint to write (.safetensors)")->required();
  c->callback([o] { export_model(*o); });
}

}  // namespace sixteen
