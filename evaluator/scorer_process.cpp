// See scorer_process.h. One poll loop writes the request and reads the reply, since a pipe holds 64 KiB and both may be larger.
#include "evaluator/scorer_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "evaluator/file_trace.h"
#include "formats/error.h"
#include "model/console.h"
#include "model/process_clock.h"

namespace sixteen {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kErrorTail = 4096;
constexpr double kGraceSeconds = 2;  // between a closed input or a signal and the next, harder step

// Both ends close on exec; the child gets its own copies.
std::array<int, 2> open_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) fail("scorer: cannot make a pipe: ", std::strerror(errno));
  return ends;
}

// In the child, which never returns. Its three streams are the pipes', its other files are closed, it dies with us.
[[noreturn]] void become(const std::string& command, int in, int out, int err, int trace_fd) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(126);
  if (trace_fd >= 0) trace_shell(command, trace_fd);
  exec_shell(command);
}

std::string ending(int status) {
  if (WIFEXITED(status)) return "exited with code " + std::to_string(WEXITSTATUS(status));
  return "was killed by signal " + std::to_string(WTERMSIG(status)) + " (" + strsignal(WTERMSIG(status)) + ")";
}

void close_end(int* fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

}  // namespace

ScorerProcess::ScorerProcess(std::string command, double timeout_s, int trace_fd)
    : command_(std::move(command)), timeout_s_(timeout_s) {
  signal(SIGPIPE, SIG_IGN);  // a closed pipe is reported by write() instead
  const auto in = open_pipe(), out = open_pipe(), err = open_pipe();
  pid_ = fork();
  if (pid_ < 0) fail("scorer: cannot start a process: ", std::strerror(errno));
  if (pid_ == 0) become(command_, in[0], out[1], err[1], trace_fd);
  setpgid(pid_, pid_);
  close(in[0]);
  close(out[1]);
  close(err[1]);
  in_ = in[1];
  out_ = out[0];
  err_ = err[0];
  for (const int fd : {in_, out_, err_}) fcntl(fd, F_SETFL, O_NONBLOCK);
}

ScorerProcess::~ScorerProcess() { end(); }

bool ScorerProcess::reap(double seconds) {
  for (const auto start = Clock::now(); pid_ > 0;) {
    const pid_t got = waitpid(pid_, &status_, WNOHANG);
    if (got == pid_ || (got < 0 && errno == ECHILD)) break;
    if (seconds_since(start) >= seconds) return false;
    if (err_ >= 0) read_errors();  // a full pipe must not keep it from ending
    usleep(1000);
  }
  return true;
}

void ScorerProcess::end() {
  close_end(&in_);
  if (pid_ > 0) {
    const pid_t group = pid_;
    if (!reap(kGraceSeconds)) {
      kill(-group, SIGKILL);
      reap(kGraceSeconds);
    }
    kill(-group, SIGKILL);  // children that it left behind
    pid_ = -1;
  }
  close_end(&out_);
  close_end(&err_);
}

void ScorerProcess::read_errors() {
  char text[4096];
  for (ssize_t got; err_ >= 0;) {
    got = read(err_, text, sizeof text);
    if (got > 0) {
      errors_.append(text, static_cast<size_t>(got));
      if (errors_.size() > kErrorTail) errors_.erase(0, errors_.size() - kErrorTail);
    } else {
      if (got == 0) close_end(&err_);
      return;
    }
  }
}

void ScorerProcess::give_up(const std::string& what, const std::string& problem) {
  const pid_t group = pid_;
  const bool ended = reap(problem.empty() ? kGraceSeconds : 0);
  const std::string how = !problem.empty() ? problem : ended ? ending(status_) : "closed its output and goes on running";
  kill(-group, SIGKILL);
  reap(kGraceSeconds);
  read_errors();
  end();
  std::string words = errors_.substr(0, errors_.find_last_not_of("\n ") + 1);
  words = words.substr(words.rfind('\n') == std::string::npos ? 0 : words.rfind('\n') + 1);
  fail("scorer '", command_, "': ", what, ": ", how, words.empty() ? "" : "; last line of its stderr: ", words.substr(0, 200));
}

// One round: writes what the pipe takes, reads what is there.
void ScorerProcess::pump(const std::string& line, size_t* sent, size_t max_bytes, const std::string& what) {
  pollfd fds[] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}, {*sent < line.size() ? in_ : -1, POLLOUT, 0}};
  if (poll(fds, 3, 100) < 0 && errno != EINTR) fail("scorer: poll: ", std::strerror(errno));
  if (fds[1].revents != 0) read_errors();
  if (fds[2].revents != 0) {
    const ssize_t put = write(in_, line.data() + *sent, line.size() - *sent);
    if (put > 0) *sent += static_cast<size_t>(put);
    if (put < 0 && errno == EPIPE) *sent = line.size();  // it may have replied before; if not, its output ends too
  }
  if (fds[0].revents == 0) return;
  char text[65536];
  const ssize_t got = read(out_, text, sizeof text);
  if (got == 0) give_up(what, "");
  if (got < 0) return;
  buffer_.append(text, static_cast<size_t>(got));
  if (buffer_.size() > max_bytes) {
    give_up(what, "wrote more than " + std::to_string(max_bytes) + " bytes without a complete reply; it starts with '" +
                      buffer_.substr(0, 60) + "'");
  }
}

std::string ScorerProcess::ask(const std::string& line, size_t max_bytes, const std::string& what) {
  if (pid_ <= 0) fail("scorer '", command_, "': ", what, ": it is not running");
  if (!buffer_.empty()) give_up(what, "wrote '" + buffer_.substr(0, 60) + "' that nobody asked for; a request has one line of reply");
  const std::string request = line + "\n";
  const auto start = Clock::now();
  for (size_t sent = 0;;) {
    pump(request, &sent, max_bytes, what);
    const size_t end = buffer_.find('\n');
    if (end != std::string::npos) {
      const std::string reply = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return reply;
    }
    stop_if_interrupted();
    if (seconds_since(start) > timeout_s_) {
      give_up(what, "no reply within " + std::to_string(static_cast<int64_t>(timeout_s_)) + " s; see --timeout");
    }
  }
}

}  // namespace sixteen
