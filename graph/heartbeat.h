// Finds the rank that died, hangs or went silent, and tells all others which one it was.
//
// A star around rank 0 over the connections of the rendezvous: every rank sends a beat twice a second, rank 0 judges, and its
// verdict reaches all. Dead: the connection closed without a goodbye. Silent (a stopped process, a lost host): no beat for
// the timeout. Hanging: another rank has been waiting for the timeout in a collective while this one, at work in a step, has
// not moved; a rank that is not in a step (reading files, writing a checkpoint) is only asked for beats.
// Bites: the verdict is thrown by check() in the main thread, which cleans up; a main thread that does not get there within
// kGraceS, because it sits in a device call, is ended from here with the same line and exit code 1.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "graph/sockets.h"

namespace sixteen {

struct Member {
  char address[64] = "", host[64] = "";
  int port = 0, pid = 0;  // port: where it listens for its peers
};

class Heartbeat {
 public:
  enum class State : int { kIdle, kWorking, kWaiting };

  // peers: by rank; rank 0 has a connection to every other one, the others to rank 0 alone.
  Heartbeat(int rank, std::vector<Member> members, std::vector<Socket> peers, double timeout_s);
  // Says goodbye, or during the unwinding of an exception that this rank failed.
  ~Heartbeat();

  void check();                  // throws Error with the verdict
  bool lost() const { return lost_.load(std::memory_order_acquire); }
  void set_state(State state) { state_.store(static_cast<int>(state), std::memory_order_relaxed); }
  State state() const { return static_cast<State>(state_.load(std::memory_order_relaxed)); }
  void tick() { ticks_.fetch_add(1, std::memory_order_relaxed); }
  // Each is called once, from the heartbeat's thread, when a rank is lost: must wake whoever waits for that rank, and not block.
  void on_loss(std::function<void()> wake);
  std::string host_of(int rank) const { return members_[static_cast<size_t>(rank)].host; }
  std::string name_of(int rank) const;  // "rank 1 (host, process 4711)"

  static constexpr double kGraceS = 5;

 private:
  struct Beat;
  struct Peer {
    Socket socket;
    bool watched = false;
    size_t received = 0;     // bytes of the beat that is arriving
    std::vector<char> beat;  // [sizeof(Beat)]
    Deadline last_beat{}, last_move{}, waiting_since{};
    uint64_t ticks = 0;
    State state = State::kIdle;
  };
  void run();
  void send_beats();
  void receive(int rank);
  void take(int rank, const Beat& beat);
  void note(Peer* peer, uint64_t ticks, State state, Deadline now);
  void judge(Deadline now);
  void lose(const std::string& verdict);
  void end_when_stuck();
  void send(const Peer& peer, const Beat& beat) const;
  Beat beat_of(int kind, const std::string& text = "") const;

  const int rank_;
  const std::vector<Member> members_;
  std::vector<Peer> peers_;  // by rank; its own entry is what rank 0 knows of itself
  const double timeout_s_;
  std::atomic<int> state_{0};
  std::atomic<uint64_t> ticks_{0};
  std::atomic<bool> lost_{false}, stop_{false};
  std::mutex mutex_;  // of verdict_ and wakes_
  std::string verdict_;
  std::vector<std::function<void()>> wakes_;
  Deadline lost_at_{};
  std::thread thread_;
};

}  // namespace sixteen
