// sixteen-pack import: PyTorch files of the records -> our checkpoint or artifact.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "formats/error.h"
#include "model/console.h"
#include "packer/commands.h"
#include "packer/import.h"
#include "packer/pack.h"

namespace sixteen {
namespace {

struct ImportCommand {
  std::string input, output;
  ImportSettings settings;
  Console console;
};

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

void import(const ImportCommand& o) {
  const bool packed = ends_with(o.output, ".s16");
  if (!packed && !ends_with(o.output, ".safetensors")) {
    throw UsageError("--out " + o.output + ": expected a name in .safetensors (dequantised) or .s16 (codes and scales as they are)");
  }
  Imported imported = import_torch(o.input, o.settings);
  if (packed && !imported.quantised) {
    fail(o.input, ": a ", imported.form, " without codes; import it to a .safetensors and pack that");
  }
  const int64_t parameters = imported.model.table->parameters();
  o.console.say(o.input, ": ", imported.form, ", ", parameters, " parameters, with ", imported.settled.source);
  if (!imported.settled.assumed.empty()) {
    o.console.say("assumed, since the file does not say it: ", imported.settled.assumed, " (--system, --config or --set say otherwise)");
  }
  o.console.say("model ", imported.artifact.config_json);
  if (packed) {
    o.console.say("coding ...");
    write_verified(&imported.artifact, o.output, 0, PackConfig{}, true);
  } else {
    save_checkpoint(o.output, imported.model.config, imported.model.store, imported.artifact.metadata);
  }
  o.console.say("wrote ", o.output, packed ? ": codes and scales as they were" : ": dequantised");
  o.console.result({{packed ? "artifact" : "checkpoint", o.output},
                    {"parameters", parameters},
                    {"form", imported.form},
                    {"settings_from", imported.settled.source},
                    {"assumed", imported.settled.assumed},
                    {"model", nlohmann::json::parse(imported.artifact.config_json)}});
}

}  // namespace

void add_import_command(CLI::App& app) {
  auto o = std::make_shared<ImportCommand>();
  CLI::App* c = app.add_subcommand("import", "Read a PyTorch file of a record: X.pt or X.ptz -> M.safetensors or M.s16");
  add_console_options(*c, &o->console);
  c->add_option("file", o->input, "state dict (.pt) or packed model (.ptz) of PR 726, 754, 1555 or 1584; nothing in it is executed")->required();
  c->add_option("-o,--out", o->output, "M.safetensors: dequantised; M.s16: codes and scales as they are")->required();
  auto* system = c->add_option("--system", o->settings.system,
                               "settings that shapes do not tell: pr726, pr754, pr754-first, pr1555 or pr1584; default: guessed");
  c->add_option("--config", o->settings.config_path, "TOML file with [model], which the tensors must fit")->excludes(system);
  c->add_option("--set", o->settings.sets, "KEY=VALUE of [model], e.g. rope.train_len=2048; overrides; may be repeated")->allow_extra_args(false);
  c->callback([o] { import(*o); });
}

}  // namespace sixteen
