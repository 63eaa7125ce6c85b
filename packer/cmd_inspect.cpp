// sixteen-pack inspect: what is in any of our files.
#include <CLI/CLI.hpp>
#include <memory>

#include "packer/commands.h"
#include "packer/inspect.h"

namespace sixteen {
namespace {

struct InspectCommand {
  std::string path;
  Console console;
};

}  // namespace

void add_inspect_command(CLI::App& app) {
  auto o = std::make_shared<InspectCommand>();
  CLI::App* c = app.add_subcommand("inspect", "Show what a file holds: tensors, bits, bytes, entropy against coded size, hash");
  add_console_options(*c, &o->console);
  c->add_option("file", o->path, "artifact, checkpoint, resume state, token shard, byte sidecar or tokenizer")->required();
  c->callback([o] { o->console.result(inspect_file(o->path, o->console)); });
}

}  // namespace sixteen
