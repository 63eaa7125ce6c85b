// See record_folder.h.
#include "packer/record_folder.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "formats/check.h"
#include "formats/error.h"
#include "formats/file.h"
#include "formats/json.h"

namespace sixteen {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// The first of several names that holds a number, also within "compliance".
std::optional<double> number(const Json& json, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (const auto found = json.find(name); found != json.end() && found->is_number()) return found->get<double>();
  }
  return std::nullopt;
}

std::optional<int64_t> integer(const Json& json, std::initializer_list<const char*> names) {
  const auto value = number(json, names);
  return value ? std::optional<int64_t>(static_cast<int64_t>(*value)) : std::nullopt;
}

void read_seeds(const Json& list, SubmissionJson* out) {
  if (list.is_object()) {
    for (const auto& [seed, row] : list.items()) {
      const auto bpb = row.is_object() ? number(row, {"val_bpb", "bpb"}) : row.is_number() ? std::optional<double>(row.get<double>()) : std::nullopt;
      if (bpb && seed.find_first_not_of("0123456789") == std::string::npos && !seed.empty()) out->seed_bpb[std::strtoll(seed.c_str(), nullptr, 10)] = *bpb;
    }
  } else if (list.is_array()) {
    for (const Json& row : list) {
      if (!row.is_object()) continue;
      const auto seed = integer(row, {"seed"});
      const auto bpb = number(row, {"val_bpb", "bpb"});
      if (seed && bpb) out->seed_bpb[*seed] = *bpb;
    }
  }
}

}  // namespace

const char* role_name(FileRole role) {
  switch (role) {
    case FileRole::kModel: return "model";
    case FileRole::kCode: return "code";
    case FileRole::kLibrary: return "library";
    case FileRole::kPreparation: return "preparation";
    case FileRole::kTokenizer: return "tokenizer";
    case FileRole::kLog: return "log";
    case FileRole::kDocument: return "document";
    case FileRole::kOther: return "other";
  }
  CHECK(false);
}

FileRole role_of(const std::string& path) {
  const std::string name = fs::path(path).filename().string(), extension = fs::path(path).extension().string();
  const auto is = [&](std::initializer_list<const char*> list) { return std::find(list.begin(), list.end(), extension) != list.end(); };
  const auto starts = [&](const char* prefix) { return name.rfind(prefix, 0) == 0; };
  if (is({".so", ".whl", ".a", ".o", ".dll", ".dylib", ".pyd", ".cubin", ".ptx"}) || name.find(".so.") != std::string::npos) return FileRole::kLibrary;
  if (is({".log"}) || (is({".txt"}) && (starts("train") || path.find("/logs/") != std::string::npos))) return FileRole::kLog;
  if (is({".md", ".txt", ".rst", ".png", ".svg", ".html", ".csv"}) || name == "submission.json" || name == "LICENSE") return FileRole::kDocument;
  if (is({".model", ".vocab"})) return FileRole::kTokenizer;
  if (is({".s16", ".ptz", ".pt", ".pth", ".safetensors", ".npz", ".bin", ".xz", ".br", ".zst", ".lzma"})) return FileRole::kModel;
  const bool code = is({".py", ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp", ".rs", ".sh", ".pyx", ".toml"});
  if (code && (starts("prepare") || starts("download") || starts("retokenize") || starts("prep_"))) return FileRole::kPreparation;
  return code ? FileRole::kCode : FileRole::kOther;
}

SubmissionJson read_submission(const std::string& path) {
  const Json json = parse_json_object(read_text_file(path), path);
  SubmissionJson out;
  out.val_bpb = number(json, {"val_bpb", "mean_val_bpb", "val_bpb_mean", "bpb"});
  out.val_loss = number(json, {"val_loss", "mean_val_loss", "val_loss_mean"});
  out.val_bpb_std = number(json, {"val_bpb_std", "std_val_bpb"});
  out.total_bytes = integer(json, {"bytes_total", "artifact_bytes_max", "artifact_bytes", "artifact_bytes_mean"});
  out.code_bytes = integer(json, {"bytes_code", "code_bytes"});
  out.model_bytes = integer(json, {"bytes_model_int8_zlib", "bytes_model", "model_bytes"});
  for (const char* name : {"seed_results", "seeds", "seed_results_all", "results"}) {
    if (json.contains(name) && out.seed_bpb.empty()) read_seeds(json[name], &out);
  }
  return out;
}

bool is_record_folder(const std::string& path) { return fs::is_regular_file(fs::path(path) / "submission.json"); }

std::vector<RecordLog> read_logs(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && role_of(entry.path().string()) == FileRole::kLog) paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<RecordLog> logs;
  for (const std::string& path : paths) {
    RecordLog log = read_record_log(path);
    if (!log.scores.empty()) logs.push_back(std::move(log));
  }
  return logs;
}

}  // namespace sixteen
