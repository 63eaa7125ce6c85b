// What a run tells: one line an interval for people, the same as JSON lines in a file, a progress line on a terminal.
#pragma once

#include <cstdio>
#include <string>

#include "model/console.h"

namespace sixteen {

struct LogEntry {
  int64_t step = 0;
  double loss = 0;           // mean of the interval, nats a token
  double gradient_norm = 0;  // of the last step, before clipping; with local clips the mean of the ranks' norms
  double lr_scale = 0;
  bool looping = false;  // in the last step
  double train_seconds = 0;
  double tokens_per_second = 0, ms_per_step = 0;  // of the interval
  double peak_share = 0;                          // flops of the interval against the measured matrix rate
  double seconds_left = 0;
};

class TrainLog {
 public:
  // path: JSON lines, appended to when a run is resumed; empty: none. Throws Error when it cannot be opened.
  TrainLog(const Console& console, const std::string& path, bool append);
  ~TrainLog();
  void interval(const LogEntry& entry);
  void validation(int64_t step, const char* what, double loss, double bpb, double seconds);
  void event(int64_t step, const std::string& text);

 private:
  void line(const std::string& json);

  Console console_;
  std::string path_;
  std::FILE* file_;
};

}  // namespace sixteen
