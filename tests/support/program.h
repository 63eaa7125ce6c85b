// Runs one of our programs as a user would: arguments, exit code, both streams, signals.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "formats/file.h"
#include "tests/support/scratch.h"

namespace sixteen::testing {

struct Outcome {
  int code = -1;  // 128 + signal when killed
  std::string out, err;
};

// A started program; its streams go to files of its own.
class Program {
 public:
  // name: "sixteen-train"; found in the build's bin folder.
  Program(const std::string& name, std::vector<std::string> args) {
    args.insert(args.begin(), std::string(SIXTEEN_BINARY_DIR) + "/bin/" + name);
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    const std::string out = scratch_.path("out"), err = scratch_.path("err");
    pid_ = fork();
    if (pid_ == 0) {
      const int flags = O_WRONLY | O_CREAT | O_TRUNC;
      if (dup2(open("/dev/null", O_RDONLY), 0) < 0 || dup2(open(out.c_str(), flags, 0600), 1) < 0 ||
          dup2(open(err.c_str(), flags, 0600), 2) < 0) {
        _exit(126);
      }
      execv(argv[0], argv.data());
      _exit(127);
    }
  }
  ~Program() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      wait();
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const { kill(pid_, number); }

  Outcome wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return {.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            .out = read_text_file(scratch_.path("out")),
            .err = read_text_file(scratch_.path("err"))};
  }

 private:
  Scratch scratch_;
  pid_t pid_ = -1;
};

inline Outcome run_program(const std::string& name, std::vector<std::string> args) {
  return Program(name, std::move(args)).wait();
}

}  // namespace sixteen::testing
