// See console.h.
#include "model/console.h"

#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <new>
#include <nlohmann/json.hpp>

#include "formats/error.h"

namespace sixteen {
namespace {

constexpr double kTerminalPeriodS = 0.1;
constexpr double kPlainPeriodS = 15.0;

volatile sig_atomic_t interrupt_flag = 0;

size_t progress_width = 0;  // of the unfinished progress line on the terminal; 0: none

// Whoever writes next finds an empty line, and a progress that goes on draws itself again below.
void wipe_progress() {
  if (progress_width == 0) return;
  std::fprintf(stderr, "\r%*s\r", static_cast<int>(progress_width), "");
  std::fflush(stderr);
  progress_width = 0;
}

void raise_flag(int) { interrupt_flag = 1; }

// A message is promised to be one line; foreign exceptions do not always keep to that.
std::string rank_name;  // "rank 1: " once speak_as_rank() was called

int report(const std::string& program, std::string message, int code) {
  for (char& c : message) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  std::fflush(stdout);
  std::fprintf(stderr, "%s: %s%s\n", program.c_str(), rank_name.c_str(), message.c_str());
  return code;
}

int parse_and_run(const std::string& program, CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e);
  } catch (const CLI::CallForAllHelp& e) {
    return app.exit(e);
  } catch (const CLI::CallForVersion& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    std::string where = program, message = e.what();
    for (const CLI::App* command : app.get_subcommands()) {
      where += " " + command->get_name();
      // CLI11 looks for what is required first, which a mistyped option then seems to be.
      const std::vector<std::string> left = command->remaining();
      const auto unknown = std::ranges::find_if(left, [](const std::string& word) { return word.starts_with("--"); });
      if (unknown != left.end()) message = "unknown option " + *unknown;
    }
    if (app.get_subcommands().empty() && !app.remaining().empty()) {  // CLI11 would only say that a command is missing
      std::string known;
      for (const CLI::App* command : app.get_subcommands({})) known += " " + command->get_name();
      return report(program, "'" + app.remaining().front() + "' is not a command; expected one of:" + known, 2);
    }
    return report(program, message + " (see '" + where + " --help')", 2);
  }
  return 0;
}

}  // namespace

void speak_as_rank(int rank, Console* console) {
  console->quiet = true;
  console->json = false;
  rank_name = "rank " + std::to_string(rank) + ": ";
}

void Console::print_line(const std::string& line) {
  wipe_progress();
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);  // a pipe's reader follows a long run line by line
}

void Console::result(const nlohmann::json& object) const {
  // Paths need not be UTF-8; a foreign byte in a name must not lose the whole result.
  if (json) print_line(object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void add_console_options(CLI::App& command, Console* console) {
  command.add_flag("--json", console->json, "print one JSON object as the last line of stdout");
  command.add_flag("--quiet,-q", console->quiet, "print no progress and no report (errors still go to stderr)");
}

int run_main(const std::string& program, const std::string& description, int argc, char** argv,
             const std::function<void(CLI::App&)>& add_commands) {
  int code = 1;
  signal(SIGXFSZ, SIG_IGN);  // a file over the size limit is then an error of write(), reported like a full disk
  try {
    CLI::App app(description, program);
    app.option_defaults()->always_capture_default();
    app.set_version_flag("--version", program + " " SIXTEEN_VERSION);
    app.require_subcommand(1);
    add_commands(app);
    code = parse_and_run(program, app, argc, argv);
  } catch (const CommandDone& done) {
    return done.code;
  } catch (const UsageError& e) {
    return report(program, e.what(), 2);
  } catch (const Error& e) {
    return report(program, e.what(), 1);
  } catch (const std::bad_alloc&) {
    return report(program, "out of memory", 1);
  } catch (const std::exception& e) {
    return report(program, std::string("unexpected error: ") + e.what(), 1);
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    return report(program, "cannot write to stdout (disk full?)", 1);
  }
  return code;
}

Progress::Progress(const Console& console, std::string label, uint64_t total, std::string unit)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      silent_(console.quiet),
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(std::chrono::steady_clock::now()),
      last_print_(start_) {}

Progress::~Progress() {
  if (!silent_ && !finished_) wipe_progress();
}

double Progress::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void Progress::update(uint64_t done, const std::string& note) {
  done_ = done;
  if (silent_) return;
  const auto now = std::chrono::steady_clock::now();
  const double since = std::chrono::duration<double>(now - last_print_).count();
  if (since < (terminal_ ? kTerminalPeriodS : kPlainPeriodS)) return;
  last_print_ = now;
  print(note, false);
}

void Progress::finish(const std::string& note) {
  finished_ = true;
  if (!silent_) print(note, true);
}

void Progress::print(const std::string& note, bool last) {
  const double elapsed = seconds();
  const double rate = elapsed > 0 ? static_cast<double>(done_) / elapsed : 0;
  const char* gap = unit_ == "B" ? "" : " ";
  auto quantity = [&](double value) {
    std::string text = format_count(value);
    const bool has_prefix = text.find(' ') != std::string::npos;
    return text + (has_prefix ? gap : " ") + unit_;
  };
  std::ostringstream line;
  line << label_ << ": ";
  if (total_ > 0) line << 100 * std::min(done_, total_) / total_ << " %, ";
  line << quantity(static_cast<double>(done_)) << ", " << quantity(rate) << "/s, ";
  if (last) {
    line << format_duration(elapsed) << " in all";
  } else if (total_ > done_ && rate > 0) {
    line << format_duration(static_cast<double>(total_ - done_) / rate) << " left";
  } else {
    line << format_duration(elapsed);
  }
  if (!note.empty()) line << ", " << note;
  std::string text = line.str();
  const size_t width = text.size();
  if (width < progress_width) text.append(progress_width - width, ' ');  // wipe the longer line before it
  progress_width = terminal_ && !last ? width : 0;
  std::fprintf(stderr, "%s%s%s", terminal_ ? "\r" : "", text.c_str(), terminal_ && !last ? "" : "\n");
  std::fflush(stderr);
}

std::string format_count(double value) {
  static constexpr const char* kPrefix[] = {"", " k", " M", " G", " T", " P"};
  int prefix = 0;
  while (std::fabs(value) >= 999.5 && prefix < 5) {
    value /= 1000;
    ++prefix;
  }
  const double size = std::fabs(value);
  const bool whole = prefix == 0 && value == std::floor(value);
  const int decimals = whole || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  char text[64];
  std::snprintf(text, sizeof text, "%.*f%s", decimals, value, kPrefix[prefix]);
  return text;
}

std::string format_duration(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(std::max(0.0, seconds)));
  char text[64];
  if (whole >= 3600) {
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", static_cast<long long>(whole / 3600),
                  static_cast<long long>(whole / 60 % 60), static_cast<long long>(whole % 60));
  } else {
    std::snprintf(text, sizeof text, "%lld:%02lld", static_cast<long long>(whole / 60),
                  static_cast<long long>(whole % 60));
  }
  return text;
}

void install_interrupt_handler() {
  struct sigaction action = {};
  action.sa_handler = raise_flag;
  action.sa_flags = SA_RESTART | SA_RESETHAND;  // reads go on; a second Ctrl-C finds the default action and kills
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return interrupt_flag != 0; }

void stop_if_interrupted(const std::string& advice) {
  if (interrupted()) fail("interrupted; ", advice);
}

}  // namespace sixteen
