// See process_clock.h. Linux says when a process started, in ticks since boot: field 22 of /proc/self/stat.
#include "model/process_clock.h"

#include <time.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>

namespace sixteen {
namespace {

double boot_seconds() {
  timespec now = {};
  return clock_gettime(CLOCK_BOOTTIME, &now) == 0 ? static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec) : 0;
}

// Seconds from boot to this process's start; negative when it cannot be known.
double start_seconds() {
  std::ifstream file("/proc/self/stat");
  std::string text;
  std::getline(file, text);
  const size_t name_end = text.rfind(')');  // the program's name may hold blanks
  if (name_end == std::string::npos) return -1;
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field < 22; ++field) fields >> skipped;
  double ticks = -1;
  fields >> ticks;
  return fields ? ticks / static_cast<double>(sysconf(_SC_CLK_TCK)) : -1;
}

}  // namespace

double process_seconds() {
  static const double start = start_seconds();
  static const auto first_call = std::chrono::steady_clock::now();
  if (start >= 0) return boot_seconds() - start;
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - first_call).count();
}

std::string utc_now(const char* pattern) {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, pattern, &parts);
  return text;
}

}  // namespace sixteen
