// sixteen-pack audit: counts code and model against the limit, as a reviewer would, and shows the sum.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "formats/error.h"
#include "model/console.h"
#include "packer/code_size.h"
#include "packer/commands.h"

namespace sixteen {
namespace {

struct AuditCommand {
  std::vector<std::string> paths, code;
  int64_t target_bytes = 16000000;
  Console console;
};

void audit(const AuditCommand& o) {
  std::vector<std::string> all = o.paths;
  all.insert(all.end(), o.code.begin(), o.code.end());
  const std::vector<CountedFile> files = count_files(all);
  nlohmann::ordered_json listed = nlohmann::ordered_json::array();
  for (const CountedFile& file : files) {
    o.console.say(std::string(12 - std::min<size_t>(12, std::to_string(file.bytes).size()), ' '), file.bytes, "  ", file.path);
    listed.push_back({{"path", file.path}, {"bytes", file.bytes}});
  }
  const uint64_t total = total_bytes(files), limit = static_cast<uint64_t>(o.target_bytes);
  o.console.say("total ", total, " of ", limit, " bytes: ", total <= limit ? "within the limit" : "OVER THE LIMIT");
  o.console.result({{"files", listed}, {"total_bytes", total}, {"target_bytes", limit}, {"within", total <= limit}});
  if (total > limit) fail("total ", total, " bytes is ", total - limit, " over the limit of ", limit);
}

}  // namespace

void add_audit_command(CLI::App& app) {
  auto o = std::make_shared<AuditCommand>();
  CLI::App* c = app.add_subcommand("audit", "Count artifact and code against 16,000,000 bytes; exit 1 above it");
  add_console_options(*c, &o->console);
  c->add_option("paths", o->paths, "artifacts, files or folders that count")->required();
  c->add_option("--code", o->code, "files and folders of code that count");
  c->add_option("--target-bytes", o->target_bytes, "the limit, decimal bytes")->capture_default_str();
  c->callback([o] { audit(*o); });
}

}  // namespace sixteen
