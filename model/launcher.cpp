// See launcher.h.
#include "model/launcher.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>

#include "formats/error.h"
#include "graph/sockets.h"

namespace sixteen {
namespace {

constexpr double kEndS = 6;  // over Heartbeat::kGraceS, after which ranks end themselves
constexpr int kMostGpus = 1024;
constexpr int kFirstPort = 10000, kPorts = 20000;  // below those that kernels give to whoever asks for any

std::vector<std::string> own_command_line() {
  std::vector<std::string> arguments;
  std::ifstream file("/proc/self/cmdline");  // its size is said to be 0, so it cannot be mapped
  const std::string text(std::istreambuf_iterator<char>(file), {});
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\0', begin), text.size());
    arguments.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return arguments;
}

// What the launcher waits for: blocked everywhere, taken by sigtimedwait.
sigset_t launcher_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGCHLD}) sigaddset(&set, number);
  return set;
}

[[noreturn]] void become_rank(int rank, int ranks, int port, pid_t launcher) {
  const sigset_t set = launcher_signals();
  sigprocmask(SIG_UNBLOCK, &set, nullptr);
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != launcher) _exit(1);
  const auto put = [](const char* name, const std::string& value) { setenv(name, value.c_str(), 1); };
  for (const char* name : {"RANK", "LOCAL_RANK"}) put(name, std::to_string(rank));
  for (const char* name : {"WORLD_SIZE", "LOCAL_WORLD_SIZE"}) put(name, std::to_string(ranks));
  put("MASTER_ADDR", "127.0.0.1");
  put("SIXTEEN_PORT", std::to_string(port));
  put("SIXTEEN_LAUNCHED", "1");
  std::vector<std::string> arguments = own_command_line();
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  execv("/proc/self/exe", argv.data());
  std::fprintf(stderr, "sixteen: rank %d: cannot start: %s\n", rank, std::strerror(errno));
  _exit(1);
}

class Ranks {
 public:
  explicit Ranks(int ranks) {
    const int port = free_port();
    const pid_t self = getpid();
    for (int r = 0; r < ranks; ++r) {
      const pid_t child = fork();
      if (child == 0) become_rank(r, ranks, port, self);
      if (child < 0) {
        signal(SIGKILL);
        fail("--gpus ", ranks, ": cannot start rank ", r, ": ", std::strerror(errno));
      }
      running_[child] = r;
    }
  }

  bool running() const { return !running_.empty(); }
  int code() const { return code_; }

  void signal(int number) const {
    for (const auto& [child, rank] : running_) kill(child, number);
  }

  void reap() {
    int status = 0;
    for (pid_t child = waitpid(-1, &status, WNOHANG); child > 0; child = waitpid(-1, &status, WNOHANG)) {
      const auto found = running_.find(child);
      if (found == running_.end()) continue;
      ended(found->second, child, status);
      running_.erase(found);
    }
  }

  void kill_when_late() const {
    if (code_ != 0 && std::chrono::steady_clock::now() > end_) signal(SIGKILL);
  }

 private:
  void ended(int rank, pid_t child, int status) {
    const bool killed = WIFSIGNALED(status);
    const int code = killed ? 1 : WEXITSTATUS(status);
    if (code == 0) return;
    if (killed && code_ == 0) std::fprintf(stderr, "sixteen: rank %d (process %d) was ended by signal %d\n", rank, child, WTERMSIG(status));
    if (code_ != 0) return;
    code_ = code;
    end_ = seconds_from_now(kEndS);
  }

  std::map<pid_t, int> running_;  // ranks by process
  int code_ = 0;                  // of the first that failed
  Deadline end_{};
};

int launch(int count) {
  const sigset_t set = launcher_signals();
  sigprocmask(SIG_BLOCK, &set, nullptr);
  Ranks ranks(count);
  while (ranks.running()) {
    const timespec pause{0, 200'000'000};
    const int number = sigtimedwait(&set, nullptr, &pause);
    if (number == SIGINT || number == SIGTERM || number == SIGHUP) ranks.signal(number == SIGHUP ? SIGTERM : number);
    ranks.reap();
    ranks.kill_when_late();
  }
  return ranks.code();
}

}  // namespace

int free_port() {
  for (int i = 0; i < kPorts; ++i) {
    int port = kFirstPort + (static_cast<int>(getpid()) * 17 + i) % kPorts;
    try {
      const Socket probe = listen_on(&port);
      return port;
    } catch (const Error&) {
      continue;  // taken
    }
  }
  fail("no free port from ", kFirstPort, " to ", kFirstPort + kPorts - 1, " for the ranks to meet at");
}

void add_gpus_option(CLI::App& command, int* gpus) {
  command
      .add_option("--gpus", *gpus,
                  "start so many ranks on this host, one a GPU (with --device cpu: one a share of the cores); default: one, or the ranks "
                  "that torchrun, mpirun or srun started")
      ->check(CLI::Range(1, kMostGpus))
      ->default_str("");
}

std::shared_ptr<World> launch_or_join(int gpus, Console* console) {
  const Place place = find_place();
  if (gpus > 0 && !place.launcher.empty() && place.launcher != "--gpus") {
    throw UsageError("--gpus " + std::to_string(gpus) + ": " + place.launcher + " has started this rank (" + std::to_string(place.rank) + " of " +
                     std::to_string(place.size) + ") already; leave --gpus out");
  }
  if (gpus > 1 && place.launcher.empty()) throw CommandDone{launch(gpus)};
  std::shared_ptr<World> world = join_world();
  if (world != nullptr && world->rank() > 0) speak_as_rank(world->rank(), console);
  return world;
}

}  // namespace sixteen
