// sixteen-pack audit: counts code and model against the limit, as a reviewer would, and shows the sums; reads the logs of a record's folder;
// tests one row's scores against another's.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <numbers>

#include "formats/error.h"
#include "formats/file.h"
#include "model/console.h"
#include "model/number_checks.h"
#include "packer/commands.h"
#include "packer/log_checks.h"
#include "packer/significance.h"
#include "packer/size_audit.h"

namespace sixteen {
namespace {

constexpr uint64_t kSixteenMebibytes = 16 << 20;

struct AuditCommand {
  std::vector<std::string> paths, code;
  std::string significance;
  double bytes_per_token = 0;
  int64_t target_bytes = 16000000;
  Console console;
};

std::string column(uint64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(12 - std::min<size_t>(12, digits.size()), ' ') + digits;
}

// One total, its distance from the limit, and its verdict.
void say_total(const Console& console, const char* letter, const std::string& meaning, uint64_t bytes, uint64_t limit) {
  const std::string distance = bytes <= limit ? std::to_string(limit - bytes) + " bytes of room" : "OVER by " + std::to_string(bytes - limit);
  console.say(letter, "  ", size_text(bytes), ", ", distance, ": ", meaning);
  if (bytes > limit && bytes <= kSixteenMebibytes) console.say("   it would fit 16 MiB, but the limit is decimal");
}

nlohmann::ordered_json say_sizes(const AuditCommand& o, const SizeAudit& audit) {
  nlohmann::ordered_json listed = nlohmann::ordered_json::array();
  for (const AuditedFile& file : audit.files) {
    std::string remark = role_name(file.role);
    if (file.unwrapped) remark += ", a wrapper of " + std::to_string(*file.unwrapped) + " bytes";
    if (file.wrapped < file.bytes) remark += ", " + std::to_string(file.wrapped) + " as a wrapper";
    if (file.often_left_out) remark += ", often left out";
    o.console.say(column(file.bytes), "  ", file.path, "  (", remark, ")");
    listed.push_back({{"path", file.path}, {"bytes", file.bytes}, {"role", role_name(file.role)}, {"wrapped", file.wrapped}, {"often_left_out", file.often_left_out}});
    if (file.unwrapped) listed.back()["unwrapped"] = *file.unwrapped;
  }
  const uint64_t limit = static_cast<uint64_t>(o.target_bytes);
  if (audit.logged) say_total(o.console, "A", "the largest total that a log names", *audit.logged, limit);
  say_total(o.console, "B", "what lies there and evaluation needs", audit.shipped, limit);
  say_total(o.console, "C", "the same, every Python file as a wrapper", audit.wrapped, limit);
  if (audit.everything != audit.shipped) say_total(o.console, "D", "B with tokenizer and preparation, which are not counted", audit.everything, limit);
  return listed;
}

// The folders' logs, checked; "" of a README that is not there.
std::vector<RecordLog> read_records(const AuditCommand& o, AuditFindings* findings) {
  namespace fs = std::filesystem;
  std::vector<RecordLog> all;
  for (const std::string& path : o.paths) {
    if (!fs::is_directory(path)) continue;
    const std::vector<RecordLog> logs = read_logs(path);
    for (const RecordLog& log : logs) check_log(log, findings);
    check_logs_together(logs, findings);
    const fs::path readme = fs::path(path) / "README.md";
    if (is_record_folder(path)) {
      check_submission(read_submission(path + "/submission.json"), fs::is_regular_file(readme) ? read_text_file(readme.string()) : "", logs, findings);
    }
    all.insert(all.end(), logs.begin(), logs.end());
  }
  return all;
}

nlohmann::json say_significance(const AuditCommand& o, const std::vector<RecordLog>& logs) {
  const LoggedScore* score = logs.empty() ? nullptr : &logs.back().scores.back();
  if (o.bytes_per_token == 0 && score == nullptr) {
    throw UsageError("--significance needs a folder with logs, or --bytes-per-token: nats a token are one of the two units");
  }
  const double ratio = o.bytes_per_token > 0 ? o.bytes_per_token : score->loss / (std::numbers::ln2 * score->bpb);
  return report_significance(read_runs(o.paths[0]), read_runs(o.significance), ratio, o.console);
}

void audit(const AuditCommand& o) {
  AuditFindings findings;
  const bool sizes = std::filesystem::exists(o.paths[0]) || o.significance.empty();  // with --significance, numbers may stand for a path
  const std::vector<RecordLog> logs = sizes ? read_records(o, &findings) : std::vector<RecordLog>();
  nlohmann::ordered_json json;
  bool within = true;
  const uint64_t limit = static_cast<uint64_t>(o.target_bytes);
  uint64_t total = 0;
  if (sizes) {
    const SizeAudit size = audit_size(o.paths, o.code, logs, &findings);
    json["files"] = say_sizes(o, size);
    within = size.within(limit);
    total = std::max({size.logged.value_or(0), size.shipped, size.wrapped});
    o.console.say("total ", total, " of ", limit, " bytes: ", within ? "within the limit" : "OVER THE LIMIT");
    json.update({{"total_bytes", size.shipped}, {"wrapped_bytes", size.wrapped}, {"everything_bytes", size.everything}, {"target_bytes", limit}, {"within", within}});
    if (size.logged) json["logged_bytes"] = *size.logged;
  }
  json["findings"] = nlohmann::ordered_json::array();
  const char* words[] = {"ok", "FAULT", "note"};
  for (const AuditFinding& f : findings.all()) {
    const char* word = words[static_cast<int>(f.result)];
    o.console.say(word, "  ", f.check, ": ", f.detail);
    json["findings"].push_back({{"result", word}, {"check", f.check}, {"detail", f.detail}});
  }
  json["faults"] = findings.faults();
  if (!o.significance.empty()) json["significance"] = say_significance(o, logs);
  o.console.result(json);
  if (!within) fail("total ", total, " bytes is ", total - limit, " over the limit of ", limit);
  if (findings.faults() > 0) fail(findings.faults(), " of ", findings.all().size(), " checks found a fault");
}

}  // namespace

void add_audit_command(CLI::App& app) {
  auto o = std::make_shared<AuditCommand>();
  CLI::App* c = app.add_subcommand("audit", "Count artifact and code against 16,000,000 bytes, check a record's logs; exit 1 above it or with a fault");
  add_console_options(*c, &o->console);
  c->add_option("paths", o->paths, "artifacts, files or folders that count; of a record's folder (one with submission.json), logs and roles are read")->required();
  c->add_option("--code", o->code, "files and folders of code that count");
  c->add_option("--target-bytes", o->target_bytes, "the limit, decimal bytes")->check(kNonNegative)->capture_default_str();
  c->add_option("--significance", o->significance,
                "test the scores of the first path (a record's folder, or numbers with commas) against these: a folder, a submission.json, a file of numbers, "
                "or numbers with commas");
  c->add_option("--bytes-per-token", o->bytes_per_token, "for nats a token; default: what the logs imply")->check(kPositive)->default_str("");
  c->callback([o] { audit(*o); });
}

}  // namespace sixteen
