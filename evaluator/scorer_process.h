// A foreign program as a child process that answers lines with lines: start, ask, and an end that leaves nothing behind.
//
// Bites: the command is the shell's, in a process group of its own, which is killed as a whole. Its stderr is kept (the last
// 4 KiB) for the message when it fails. Whatever it does wrong (hang, die, close a pipe, write garbage without end) becomes
// one Error that says what it was doing. SIGPIPE is ignored from the first start on. Not thread-safe.
#pragma once

#include <sys/types.h>

#include <string>

namespace sixteen {

class ScorerProcess {
 public:
  // trace_fd: -1, or an open file that receives what the program opens (file_trace.h); it runs slower then.
  ScorerProcess(std::string command, double timeout_s, int trace_fd = -1);
  ~ScorerProcess();  // closes its input, waits up to two seconds for its end, then kills the group
  ScorerProcess(const ScorerProcess&) = delete;
  ScorerProcess& operator=(const ScorerProcess&) = delete;

  // Sends `line` (no line break in it) and returns the next line, at most max_bytes long. `what` names the request in errors.
  // Throws Error, also when the user interrupts; the process is not fit for further requests then.
  std::string ask(const std::string& line, size_t max_bytes, const std::string& what);
  void end();  // what the destructor does

 private:
  void pump(const std::string& line, size_t* sent, size_t max_bytes, const std::string& what);
  void read_errors();
  bool reap(double seconds);
  [[noreturn]] void give_up(const std::string& what, const std::string& problem);

  std::string command_, buffer_, errors_;
  double timeout_s_;
  pid_t pid_ = -1;
  int status_ = 0;
  int in_ = -1, out_ = -1, err_ = -1;  // our ends of its stdin, stdout, stderr
};

}  // namespace sixteen
