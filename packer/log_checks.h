// What logs and submission.json alone give away (legality 4.10, D8, D11): sizes, clocks, implied bytes, seeds, equal runs.
#pragma once

#include "packer/audit_finding.h"
#include "packer/record_folder.h"

namespace sixteen {

void check_log(const RecordLog& log, AuditFindings* findings);
// The runs of one row against each other: seeds, settings, bytes per token, code.
void check_logs_together(const std::vector<RecordLog>& logs, AuditFindings* findings);
// submission.json and README.md (its text; may be empty) against the logs.
void check_submission(const SubmissionJson& submission, const std::string& readme, const std::vector<RecordLog>& logs, AuditFindings* findings);

}  // namespace sixteen
