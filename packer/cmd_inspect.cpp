// sixteen-pack inspect: what is in any of our files.
#include <CLI/CLI.hpp>
#include <memory>

#include "packer/code_size.h"
#include "packer/commands.h"
#include "packer/inspect.h"

namespace sixteen {
namespace {

struct InspectCommand {
  std::string path;
  InspectOptions options;
  std::vector<std::string> code;
  Console console;
};

}  // namespace

void add_inspect_command(CLI::App& app) {
  auto o = std::make_shared<InspectCommand>();
  CLI::App* c = app.add_subcommand("inspect", "Show what a file holds: tensors, bits, bytes, entropy against coded size, hash");
  add_console_options(*c, &o->console);
  c->add_option("file", o->path, "artifact, checkpoint, resume state, token shard, byte sidecar, tokenizer, or a record's packed model (.ptz)")->required();
  c->add_option("--report", o->options.report, "HTML page to write about an artifact or .ptz, with a map of the 16,000,000 bytes");
  c->add_option("--code", o->code, "files and folders of code that the map counts");
  c->callback([o] {
    o->options.code_bytes = total_bytes(count_files(o->code));
    o->console.result(inspect_file(o->path, o->options, o->console));
  });
}

}  // namespace sixteen
