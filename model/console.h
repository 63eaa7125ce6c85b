// The face of the three programs: subcommands, --json and --quiet, progress, Ctrl-C, and the way from an error to an exit code.
//
//   int main(int argc, char** argv) {
//     return sixteen::run_main("sixteen-train", "what it does", argc, argv,
//                              [](CLI::App& app) { sixteen::add_corpus_command(app); });
//   }
//   void add_corpus_command(CLI::App& app) {                        // one such function a command, in a file of its own
//     auto options = std::make_shared<CorpusOptions>();             // the callback outlives this function
//     CLI::App* command = app.add_subcommand("corpus", "Write sample text");
//     add_console_options(*command, &options->console);
//     command->add_option("--out", options->out, "output file")->required();
//     command->callback([options] { run_corpus(*options); });
//   }
//
// Bites: people's lines and the JSON object go to stdout, progress and errors to stderr, so that the last line of stdout is
// the object whatever else happens. Options show the defaults their fields have when they are added.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <sstream>
#include <string>

namespace CLI {
class App;
}

namespace sixteen {

// What --json and --quiet set. say() is for people, result() for programs.
struct Console {
  bool json = false;
  bool quiet = false;

  // One line on stdout, its parts joined as operator<< prints them; nothing when quiet.
  template <class... Parts>
  void say(const Parts&... parts) const {
    if (quiet) return;
    std::ostringstream line;
    (line << ... << parts);
    print_line(line.str());
  }
  // The object as one line on stdout with --json, else nothing. Call it last. NaN and infinity become null.
  void result(const nlohmann::json& object) const;

 private:
  static void print_line(const std::string& line);
};

// Adds --json and --quiet to a command.
void add_console_options(CLI::App& command, Console* console);

// Of a rank that is not the first: it prints nothing but its error, which then says whose it is.
void speak_as_rank(int rank, Console* console);

// Thrown by a command that has ended with an exit code and nothing left to say (launcher.h).
struct CommandDone {
  int code = 0;
};

// "sixteen-X COMMAND ...": parses, runs the command's callback, returns the exit code: 0 ok; 1 for Error and whatever else
// is thrown, with one line on stderr; 2 for a wrong command line (CLI11's errors and UsageError).
int run_main(const std::string& program, const std::string& description, int argc, char** argv,
             const std::function<void(CLI::App&)>& add_commands);

// How far a long job is. On a terminal one line that rewrites itself (10 times a second) and gives way to say(), else a plain
// line every 15 s and one at the end. Jobs may nest. Not thread-safe: call it, and say(), from one thread.
class Progress {
 public:
  // total 0: unknown. unit: "B" counts decimal bytes, any other word is shown as it is ("tokens", "windows").
  Progress(const Console& console, std::string label, uint64_t total, std::string unit);
  ~Progress();  // wipes the terminal's line when finish() was not reached
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `note` stands at the end of the line ("loss 3.21"). Cheap: looks at the clock, rarely prints.
  void update(uint64_t done, const std::string& note = "");
  void finish(const std::string& note = "");
  double seconds() const;  // since construction

 private:
  void print(const std::string& note, bool last);

  std::string label_, unit_;
  uint64_t total_, done_ = 0;
  bool silent_, terminal_, finished_ = false;
  std::chrono::steady_clock::time_point start_, last_print_;
};

// 950 -> "950", 12345 -> "12.3 k", 2.5e9 -> "2.50 G" (three digits, decimal).
std::string format_count(double value);
// 7 -> "0:07", 3725 -> "1:02:05".
std::string format_duration(double seconds);

// The first SIGINT or SIGTERM only raises a flag, so that a loop can leave a valid file behind; the second one kills.
void install_interrupt_handler();
bool interrupted();
// Throws Error "interrupted" with the given advice when the flag is up.
void stop_if_interrupted(const std::string& advice = "nothing was written");

}  // namespace sixteen
