// sixteen-pack source: the counted source archive of a checkout, as the build makes it for `bundle`.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "formats/file.h"
#include "model/console.h"
#include "packer/commands.h"
#include "packer/source_archive.h"

namespace sixteen {
namespace {

struct SourceCommand {
  std::string root = ".", out;
  Console console;
};

void run(const SourceCommand& o) {
  const SourceArchive archive = make_source_archive(o.root);
  const std::filesystem::path folder = std::filesystem::path(o.out).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder);
  write_file(o.out, archive.script);
  o.console.say("wrote ", o.out, ": ", archive.script.size(), " bytes, ", archive.files, " files of ", archive.text_bytes, " bytes; ",
                archive.script.size() - archive.code_bytes, " bytes are its decoder");
  o.console.result({{"archive", o.out}, {"archive_bytes", archive.script.size()}, {"files", archive.files}, {"text_bytes", archive.text_bytes}});
}

}  // namespace

void add_source_command(CLI::App& app) {
  auto o = std::make_shared<SourceCommand>();
  CLI::App* c = app.add_subcommand("source", "The sources that evaluation needs, as one shell script: 'sh evaluator.sh FOLDER' unpacks them");
  add_console_options(*c, &o->console);
  c->add_option("root", o->root, "a checkout of sixteen")->capture_default_str();
  c->add_option("-o,--out", o->out, "the script to write")->required();
  c->callback([o] { run(*o); });
}

}  // namespace sixteen
