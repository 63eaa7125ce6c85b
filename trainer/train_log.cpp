// See train_log.h.
#include "trainer/train_log.h"

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "formats/error.h"

namespace sixteen {
namespace {

std::string format(const char* pattern, double value) {
  char text[64];
  std::snprintf(text, sizeof(text), pattern, value);
  return text;
}

}  // namespace

TrainLog::TrainLog(const Console& console, const std::string& path, bool append)
    : console_(console), path_(path), file_(path.empty() ? nullptr : std::fopen(path.c_str(), append ? "a" : "w")) {
  if (file_ == nullptr && !path.empty()) fail(path, ": cannot open the log for writing: ", std::strerror(errno));
}

TrainLog::~TrainLog() {
  if (file_ != nullptr) std::fclose(file_);
}

void TrainLog::line(const std::string& json) {
  if (file_ == nullptr) return;
  if (std::fprintf(file_, "%s\n", json.c_str()) < 0 || std::fflush(file_) != 0) {
    fail(path_, ": cannot write the log: ", std::strerror(errno));
  }
}

void TrainLog::interval(const LogEntry& e) {
  console_.say("step ", e.step, "  mean loss ", format("%.4f", e.loss), "  norm ", format("%.3f", e.gradient_norm), "  lr x",
               format("%.3f", e.lr_scale), e.looping ? "  loop on  " : "  ", format_count(e.tokens_per_second),
               " tokens/s  ", format("%.0f", e.ms_per_step), " ms/step  ", format("%.0f", 100 * e.peak_share),
               " % of peak  ", format_duration(e.seconds_left), " left");
  line(nlohmann::ordered_json{{"step", e.step},
                              {"loss", e.loss},
                              {"gradient_norm", e.gradient_norm},
                              {"lr_scale", e.lr_scale},
                              {"looping", e.looping},
                              {"train_seconds", e.train_seconds},
                              {"tokens_per_second", e.tokens_per_second},
                              {"ms_per_step", e.ms_per_step},
                              {"peak_share", e.peak_share}}
           .dump());
}

void TrainLog::validation(int64_t step, const char* what, double loss, double bpb, double seconds) {
  console_.say("step ", step, "  validation (", what, " weights)  loss ", format("%.4f", loss), "  bpb ",
               format("%.4f", bpb), "  ", format("%.1f", seconds), " s");
  line(nlohmann::ordered_json{{"step", step}, {"validation", what}, {"loss", loss}, {"bpb", bpb}, {"seconds", seconds}}
           .dump());
}

void TrainLog::event(int64_t step, const std::string& text) {
  console_.say("step ", step, "  ", text);
  line(nlohmann::ordered_json{{"step", step}, {"event", text}}.dump());
}

}  // namespace sixteen
