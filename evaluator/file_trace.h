// What a program and its children open while they run: a ptrace of the system calls that open files or sockets, for the
// question whether a score had more than its artifact (legality: D7).
//
// Linux only, 5.3 or newer. Names are read back from /proc after the call has succeeded, so that links, relative names and
// another thread's changes to the argument cannot hide a file. Bites: every system call stops twice, so the program is slow;
// what it inherits, maps before (its own program) or gets through a socket is not seen, hence sockets are reported.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sixteen {

struct OpenedFile {
  std::string path;  // of a regular file; else "socket", "io_uring", "open_by_handle", "ptrace" or "foreign code"
  bool created = false;  // made or emptied by the program itself, so that nothing came in by it
};

// Replaces the calling process by /bin/sh -c command, without any file but 0, 1 and 2. Does not return.
[[noreturn]] void exec_shell(const std::string& command);

// Runs the command with the caller's three streams as a traced child, writes a line per opened file to `fd`, and exits with the
// child's exit code. To be called in a process forked for this. Does not return.
[[noreturn]] void trace_shell(const std::string& command, int fd);

// The lines so far, each file once, in the order of opening.
std::vector<OpenedFile> read_trace(int fd);

}  // namespace sixteen
