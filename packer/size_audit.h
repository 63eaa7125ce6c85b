// The size of an entry as a reviewer counts it (legality 1.3, 4.9, D10): decimal bytes, four totals, wrappers both ways.
//
// A: what the log says. B: the shipped files that evaluation needs, as they lie there. C: the same with every Python file as a self-extracting
// wrapper (its own, or one that we make without a minifier). D: B and the tokenizer and preparation, which nobody counts. The limit
// is on A, B and C; the four are printed, since rulings differ on which one counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "packer/audit_finding.h"
#include "packer/record_folder.h"

namespace sixteen {

struct AuditedFile {
  std::string path;
  FileRole role = FileRole::kOther;
  uint64_t bytes = 0;
  std::optional<uint64_t> unwrapped = {};  // of a wrapper: what is inside
  uint64_t wrapped = 0;               // of Python: as a wrapper; else bytes
  bool often_left_out = false;        // a helper beside the main script, or a library
};

struct SizeAudit {
  std::vector<AuditedFile> files;
  uint64_t model = 0;                     // bytes of model files, or the log's when no model is shipped
  bool model_from_log = false;
  std::optional<uint64_t> logged;         // A, the largest of the logs
  uint64_t shipped = 0, wrapped = 0, everything = 0;  // B, C, D
  bool within(uint64_t limit) const { return (!logged || *logged <= limit) && shipped <= limit && wrapped <= limit; }
};

// paths: artifacts, files or record folders; code: files and folders that all count as code. Artifacts (.s16) are read to their last
// byte. Throws Error for what does not exist or is damaged.
SizeAudit audit_size(const std::vector<std::string>& paths, const std::vector<std::string>& code, const std::vector<RecordLog>& logs,
                     AuditFindings* findings);

// "15,947,490 bytes = 15.947 MB (15.209 MiB)".
std::string size_text(uint64_t bytes);

}  // namespace sixteen
