// A folder of the challenge's records: submission.json in any of its variants, the logs, the files and what each is for.
//
// Bites: there is no schema (legality 6.2): names and types vary, and a field that is absent is not an error. A role is a guess from the
// name, since nothing is run.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "packer/record_log.h"

namespace sixteen {

enum class FileRole { kModel, kCode, kLibrary, kPreparation, kTokenizer, kLog, kDocument, kOther };
const char* role_name(FileRole role);
FileRole role_of(const std::string& path);

struct SubmissionJson {
  std::optional<double> val_bpb, val_loss, val_bpb_std;
  std::optional<int64_t> total_bytes, code_bytes, model_bytes;
  std::map<int64_t, double> seed_bpb;  // by seed
};
// Throws Error when the file is no JSON object.
SubmissionJson read_submission(const std::string& path);

// True for a folder with a submission.json.
bool is_record_folder(const std::string& path);
// The logs of the claimed runs below the folder: *.log and *.txt with a score in them, ascending by name.
std::vector<RecordLog> read_logs(const std::string& folder);

}  // namespace sixteen
