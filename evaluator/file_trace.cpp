// See file_trace.h. A line is 'r' or 'c' (created), the name, a line break; '\n' in a name becomes '?'.
#include "evaluator/file_trace.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <set>

namespace sixteen {
namespace {

constexpr int kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                         PTRACE_O_TRACEEXEC;
constexpr int kSyscallStop = SIGTRAP | 0x80;

long trace(int request, pid_t pid, unsigned long address, void* data) {
  return ptrace(static_cast<__ptrace_request>(request), pid, address, data);
}

enum class Call : uint8_t { kOther, kOpen, kSocket, kUring, kHandle, kTrace };

Call call_of(uint64_t number) {
  switch (number) {
#ifdef SYS_open
    case SYS_open:
    case SYS_creat:
#endif
    case SYS_openat:
    case SYS_openat2: return Call::kOpen;
    case SYS_connect: return Call::kSocket;
    case SYS_io_uring_setup: return Call::kUring;
    case SYS_open_by_handle_at: return Call::kHandle;
    case SYS_ptrace:
    case SYS_process_vm_readv: return Call::kTrace;
    default: return Call::kOther;
  }
}

class Tracer {
 public:
  explicit Tracer(int fd) : fd_(fd) {}

  int run(pid_t first) {
    int status = 0, code = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
      if (pid <= 0) continue;
      if (WIFEXITED(status) || WIFSIGNALED(status)) {
        entered_.erase(pid);
        if (pid == first) code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        continue;
      }
      resume(pid, status);
    }
    return code;
  }

 private:
  void resume(pid_t pid, int status) {
    unsigned long signal = 0;
    const int stop = WSTOPSIG(status);
    if (stop == kSyscallStop) {
      at_call(pid);
    } else if (status >> 16 == 0 && stop != SIGTRAP && !(stop == SIGSTOP && seen_.insert(pid).second)) {
      signal = static_cast<unsigned long>(stop);  // a real signal: hand it on; the first stop of a new process is ours
    }
    trace(PTRACE_SYSCALL, pid, 0, reinterpret_cast<void*>(signal));
  }

  void at_call(pid_t pid) {
    struct __ptrace_syscall_info info {};
    if (trace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0) return;
    if (native_ == 0) native_ = info.arch;  // /bin/sh's own
    if (info.arch != native_) return write_line('r', "foreign code");
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
      entered_[pid] = call_of(info.entry.nr);
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
      left(pid, info.exit.rval);
    }
  }

  // A call has returned. Whatever is no opening of a file counts as an attempt, also when it failed.
  void left(pid_t pid, int64_t result) {
    switch (entered_[pid]) {
      case Call::kOpen: return result >= 0 ? opened(pid, result) : void();
      case Call::kSocket: return write_line('r', "socket");
      case Call::kUring: return write_line('r', "io_uring");
      case Call::kHandle: return write_line('r', "open_by_handle");
      case Call::kTrace: return write_line('r', "ptrace");
      case Call::kOther: return;
    }
  }

  void opened(pid_t pid, int64_t result) {
    const std::string link = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(result);
    char name[4096];
    const ssize_t length = readlink(link.c_str(), name, sizeof name);
    struct stat about {};
    if (length <= 0 || stat(link.c_str(), &about) != 0 || !S_ISREG(about.st_mode)) return;
    write_line(is_new(about) ? 'c' : 'r', std::string(name, static_cast<size_t>(length)));
  }

  // An empty file right after the opening brought nothing in. What is made here may be opened again by any of the processes.
  bool is_new(const struct stat& about) {
    const auto identity = std::make_pair(about.st_dev, about.st_ino);
    if (about.st_size == 0) own_.insert(identity);
    return own_.count(identity) > 0;
  }

  void write_line(char kind, std::string name) {
    for (char& c : name) c = c == '\n' ? '?' : c;
    const std::string line = kind + name + "\n";
    if (!written_.insert(line).second) return;
    if (write(fd_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) _exit(125);
  }

  int fd_;
  uint32_t native_ = 0;
  std::set<pid_t> seen_;
  std::map<pid_t, Call> entered_;
  std::set<std::pair<dev_t, ino_t>> own_;
  std::set<std::string> written_;
};

}  // namespace

void exec_shell(const std::string& command) {
  syscall(SYS_close_range, 3u, ~0u, 0u);
  signal(SIGPIPE, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
  _exit(127);
}

void trace_shell(const std::string& command, int fd) {
  const pid_t child = fork();
  if (child < 0) _exit(126);
  if (child == 0) {
    trace(PTRACE_TRACEME, 0, 0, nullptr);
    raise(SIGSTOP);  // until the options are set
    exec_shell(command);
  }
  // The program's end, and ours of its input, must end the pipes: this process keeps none of them.
  for (const int stream : {0, 1, 2}) close(stream);
  if (fd > 3) syscall(SYS_close_range, 3u, static_cast<unsigned>(fd) - 1, 0u);
  syscall(SYS_close_range, static_cast<unsigned>(fd) + 1, ~0u, 0u);
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status) ||
      trace(PTRACE_SETOPTIONS, child, 0, reinterpret_cast<void*>(static_cast<long>(kOptions))) != 0) {
    _exit(125);
  }
  trace(PTRACE_SYSCALL, child, 0, nullptr);
  _exit(Tracer(fd).run(child));
}

std::vector<OpenedFile> read_trace(int fd) {
  std::string text;
  char part[65536];
  for (ssize_t got; (got = pread(fd, part, sizeof part, static_cast<off_t>(text.size()))) > 0;) text.append(part, static_cast<size_t>(got));
  std::vector<OpenedFile> files;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    files.push_back({text.substr(begin + 1, end - begin - 1), text[begin] == 'c'});
  }
  return files;
}

}  // namespace sixteen
