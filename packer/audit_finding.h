// What the audit found: one line each, good, bad or merely worth a look.
#pragma once

#include <sstream>
#include <string>
#include <vector>

namespace sixteen {

struct AuditFinding {
  enum class Result { kGood, kFault, kNote };
  Result result = Result::kNote;
  std::string check, detail;
};

class AuditFindings {
 public:
  template <class... Parts>
  void add(AuditFinding::Result result, const std::string& check, const Parts&... parts) {
    std::ostringstream line;
    (line << ... << parts);
    all_.push_back({result, check, line.str()});
  }
  // Good or a fault, as `good` says.
  template <class... Parts>
  void judge(bool good, const std::string& check, const Parts&... parts) {
    add(good ? AuditFinding::Result::kGood : AuditFinding::Result::kFault, check, parts...);
  }
  template <class... Parts>
  void note(const std::string& check, const Parts&... parts) {
    add(AuditFinding::Result::kNote, check, parts...);
  }
  const std::vector<AuditFinding>& all() const { return all_; }
  size_t faults() const {
    size_t count = 0;
    for (const AuditFinding& f : all_) count += f.result == AuditFinding::Result::kFault ? 1 : 0;
    return count;
  }

 private:
  std::vector<AuditFinding> all_;
};

}  // namespace sixteen
