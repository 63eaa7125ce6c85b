// See size_audit.h.
#include "packer/size_audit.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>

#include "formats/artifact.h"
#include "formats/file.h"
#include "packer/code_size.h"
#include "packer/python_wrapper.h"

namespace sixteen {
namespace {

constexpr size_t kLargeLiteral = 4096;  // bytes: a table or a model rather than a text

bool is_python(const std::string& path) { return std::filesystem::path(path).extension() == ".py"; }

// The longest run of characters between two quotes of one kind on one line.
size_t longest_literal(const std::string& text) {
  size_t longest = 0, begin = 0;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' || text[i] == quote) {
      if (quote != 0) longest = std::max(longest, i - begin);
      quote = 0;
    } else if (quote == 0 && (text[i] == '"' || text[i] == '\'')) {
      quote = text[i];
      begin = i + 1;
    }
  }
  return longest;
}

void look_into(AuditedFile* file, AuditFindings* findings) {
  file->wrapped = file->bytes;
  if (file->role == FileRole::kLibrary) {
    file->often_left_out = true;
    findings->note("library", file->path, ": ", file->bytes, " bytes of compiled code; it counts unless it is a public package");
  }
  if (file->role != FileRole::kCode && file->role != FileRole::kPreparation) return;
  const std::string text = read_text_file(file->path);
  const auto inside = is_python(file->path) ? unwrap_python(text) : std::nullopt;
  if (inside && inside->source.empty()) {
    findings->note("wrapper", file->path, ": looks like a self-extracting script, but is ", inside->problem);
  } else if (inside) {
    file->unwrapped = inside->source.size();
  } else if (is_python(file->path)) {
    file->wrapped = std::min<uint64_t>(file->bytes, wrap_python(text).size());
  }
  const size_t literal = inside ? longest_literal(inside->source) : longest_literal(text);
  if (literal > kLargeLiteral) findings->note("literal", file->path, ": holds a literal of ", literal, " characters; is it code?");
}

void check_artifact(const AuditedFile& file, AuditFindings* findings) {
  if (!is_artifact(file.path)) return;
  const Artifact artifact = read_artifact(file.path);
  findings->judge(artifact.file_bytes == file.bytes, "artifact", file.path, ": read to its last byte, SHA-256 ", to_hex(artifact.digest));
}

bool counts(FileRole role) { return role == FileRole::kCode || role == FileRole::kLibrary || role == FileRole::kModel || role == FileRole::kOther; }

void add_up(SizeAudit* audit, const std::vector<RecordLog>& logs, AuditFindings* findings) {
  bool model = false;
  for (const AuditedFile& file : audit->files) {
    if (file.role == FileRole::kModel) audit->model += file.bytes, model = true;
    if (counts(file.role)) audit->shipped += file.bytes, audit->wrapped += file.wrapped;
    if (file.role == FileRole::kTokenizer || file.role == FileRole::kPreparation) audit->everything += file.bytes;
  }
  for (const RecordLog& log : logs) {
    if (log.total_bytes) audit->logged = std::max(audit->logged.value_or(0), static_cast<uint64_t>(*log.total_bytes));
    if (!model && log.model_bytes) audit->model = std::max(audit->model, static_cast<uint64_t>(*log.model_bytes)), audit->model_from_log = true;
  }
  if (audit->model_from_log) {
    audit->shipped += audit->model;
    audit->wrapped += audit->model;
    findings->note("model", "not shipped: the largest of the logs' sizes, ", audit->model, " bytes, is taken on trust");
  }
  audit->everything += audit->shipped;
  for (const RecordLog& log : logs) {
    if (model && log.model_bytes) {
      findings->judge(static_cast<uint64_t>(*log.model_bytes) == audit->model || logs.size() > 1, "model bytes", log.path, ": logged ", *log.model_bytes,
                      ", shipped ", audit->model);
    }
  }
}

}  // namespace

std::string size_text(uint64_t bytes) {
  std::string digits = std::to_string(bytes);
  for (int64_t at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<size_t>(at), ",");
  char text[96];
  std::snprintf(text, sizeof text, "%s bytes = %.3f MB (%.3f MiB)", digits.c_str(), static_cast<double>(bytes) / 1e6, static_cast<double>(bytes) / 1048576);
  return text;
}

SizeAudit audit_size(const std::vector<std::string>& paths, const std::vector<std::string>& code, const std::vector<RecordLog>& logs,
                     AuditFindings* findings) {
  SizeAudit audit;
  const auto is_main = [](const std::string& path) { return std::filesystem::path(path).filename() == "train_gpt.py"; };
  std::set<std::string> code_files;
  for (const CountedFile& file : count_files(code)) {
    code_files.insert(std::filesystem::canonical(file.path).string());
    const FileRole role = role_of(file.path) == FileRole::kLibrary ? FileRole::kLibrary : FileRole::kCode;
    audit.files.push_back({.path = file.path, .role = role, .bytes = file.bytes});
  }
  for (const std::string& path : paths) {
    const bool record = is_record_folder(path);
    for (const CountedFile& file : count_files({path})) {
      if (!code_files.insert(std::filesystem::canonical(file.path).string()).second) continue;
      AuditedFile audited{.path = file.path, .role = role_of(file.path), .bytes = file.bytes};
      // Outside of a record's folder, whatever is named counts.
      if (!record && !counts(audited.role)) audited.role = FileRole::kOther;
      audited.often_left_out = record && audited.role == FileRole::kCode && !is_main(file.path);
      audit.files.push_back(audited);
    }
  }
  for (AuditedFile& file : audit.files) {
    look_into(&file, findings);
    check_artifact(file, findings);
  }
  add_up(&audit, logs, findings);
  return audit;
}

}  // namespace sixteen
