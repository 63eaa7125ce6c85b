// A fixture whose ranks are processes of this host, meeting over loopback.
//
// Bites: a rank is a forked child that must not return into gtest: it ends with _exit and reports through its exit code and a
// file; what it finds wrong it throws (require). No thread may run in the parent when it forks, so devices are made in ranks.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "formats/error.h"
#include "formats/file.h"
#include "graph/cpu/socket_communicator.h"
#include "graph/world.h"
#include "tests/support/scratch.h"

namespace sixteen::testing {

constexpr double kRankTimeoutS = 2;

struct End {
  int status = 0;  // of waitpid
  std::string line;
};

class Ranks : public ::testing::Test {
 protected:
  // body runs in every rank; it joins nothing itself. timeout_s: of the heartbeat; generous where nothing is to fail.
  void start_worlds(int ranks, const std::function<void(std::shared_ptr<World>)>& body, double timeout_s = 60, int missing = -1) {
    int port = 0;
    { const Socket probe = listen_on(&port); }
    begin_ = std::chrono::steady_clock::now();
    for (int r = 0; r < ranks; ++r) {
      children_.push_back(-1);
      if (r == missing) continue;
      children_.back() = fork();
      if (children_.back() == 0) run_rank({.rank = r, .size = ranks, .local_rank = r, .local_size = ranks, .address = "127.0.0.1",
                                           .port = port, .timeout_s = timeout_s, .meet_s = timeout_s, .launcher = "test"}, body);
    }
  }
  void start(int ranks, const std::function<void(Communicator&, World&)>& body, int missing = -1) {
    const auto communicate = [body](const std::shared_ptr<World>& world) { body(*cpu::make_socket_communicator(world), *world); };
    start_worlds(ranks, communicate, kRankTimeoutS, missing);
  }

  End wait(int rank) {
    End end;
    waitpid(children_[rank], &end.status, 0);
    children_[rank] = -1;
    end.line = std::filesystem::exists(line_of(rank)) ? read_text_file(line_of(rank)) : "";
    return end;
  }

  void expect_good(int rank) {
    const End end = wait(rank);
    EXPECT_TRUE(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0) << "rank " << rank << ": " << end.line;
  }

  // Ended in time with one line that names the lost rank.
  void expect_stopped(int rank, const std::string& lost) {
    const End end = wait(rank);
    EXPECT_TRUE(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 1) << "rank " << rank << ": " << end.status;
    EXPECT_NE(end.line.find(lost), std::string::npos) << "rank " << rank << ": " << end.line;
    EXPECT_LT(seconds(), kRankTimeoutS + Heartbeat::kGraceS + 3);
  }

  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }

  void clear() {
    for (const pid_t child : children_) {
      if (child <= 0) continue;
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
    children_.clear();
  }
  void TearDown() override { clear(); }

  pid_t child(int rank) const { return children_[rank]; }

 private:
  std::string line_of(int rank) const { return scratch_.path("line" + std::to_string(rank)); }

  [[noreturn]] void run_rank(const Place& place, const std::function<void(std::shared_ptr<World>)>& body) const {
    int code = 0;
    try {
      body(std::make_shared<World>(place));
    } catch (const std::exception& e) {
      write_file(line_of(place.rank), e.what());
      code = 1;
    }
    _exit(code);
  }

  Scratch scratch_;
  std::vector<pid_t> children_;
  std::chrono::steady_clock::time_point begin_;
};

inline void require(bool condition, const std::string& what) {
  if (!condition) throw Error(what);
}

}  // namespace sixteen::testing
