// See heartbeat.h.
#include "graph/heartbeat.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>

#include "formats/error.h"

namespace sixteen {
namespace {

constexpr int kPeriodMs = 500;
enum Kind : int { kBeat, kGoodbye, kFailed, kVerdict };

double seconds_between(Deadline from, Deadline to) { return std::chrono::duration<double>(to - from).count(); }

}  // namespace

struct Heartbeat::Beat {
  int kind = kBeat, state = 0;
  uint64_t ticks = 0;
  char text[240] = "";
};

Heartbeat::Heartbeat(int rank, std::vector<Member> members, std::vector<Socket> peers, double timeout_s)
    : rank_(rank), members_(std::move(members)), timeout_s_(timeout_s) {
  const Deadline now = std::chrono::steady_clock::now();
  for (Socket& socket : peers) {
    Peer peer;
    peer.watched = socket.open();
    peer.socket = std::move(socket);
    peer.beat.resize(sizeof(Beat));
    peer.last_beat = peer.last_move = peer.waiting_since = now;
    peers_.push_back(std::move(peer));
  }
  thread_ = std::thread([this] { run(); });
}

Heartbeat::~Heartbeat() {
  stop_ = true;
  thread_.join();
  const Beat last = beat_of(std::uncaught_exceptions() > 0 && !lost() ? kFailed : kGoodbye);
  for (const Peer& peer : peers_) {
    if (peer.socket.open()) send(peer, last);
  }
}

std::string Heartbeat::name_of(int rank) const {
  const Member& m = members_[static_cast<size_t>(rank)];
  return "rank " + std::to_string(rank) + " (" + m.host + ", process " + std::to_string(m.pid) + ")";
}

void Heartbeat::on_loss(std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  if (lost()) wake();
  wakes_.push_back(std::move(wake));
}

void Heartbeat::check() {
  if (!lost()) return;
  const std::lock_guard lock(mutex_);
  throw Error(verdict_);
}

Heartbeat::Beat Heartbeat::beat_of(int kind, const std::string& text) const {
  Beat beat;
  beat.kind = kind;
  beat.state = state_.load(std::memory_order_relaxed);
  beat.ticks = ticks_.load(std::memory_order_relaxed);
  std::strncpy(beat.text, text.c_str(), sizeof beat.text - 1);
  return beat;
}

// A beat is smaller than any socket's buffer: what does not fit goes to a peer that stopped reading long ago.
void Heartbeat::send(const Peer& peer, const Beat& beat) const { send_all(peer.socket, &beat, sizeof beat, seconds_from_now(0.2)); }

void Heartbeat::send_beats() {
  const Beat beat = beat_of(kBeat);
  for (const Peer& peer : peers_) {
    if (peer.watched) send(peer, beat);
  }
}

void Heartbeat::run() {
  Deadline next_beat = std::chrono::steady_clock::now();
  while (!stop_) {
    Deadline now = std::chrono::steady_clock::now();
    if (lost()) {
      end_when_stuck();
    } else if (now >= next_beat) {
      send_beats();
      judge(now);
      next_beat = now + std::chrono::milliseconds(kPeriodMs);
    }
    std::vector<pollfd> entries;
    std::vector<int> ranks;
    for (size_t r = 0; r < peers_.size(); ++r) {
      if (!peers_[r].watched) continue;
      entries.push_back({peers_[r].socket.fd(), POLLIN, 0});
      ranks.push_back(static_cast<int>(r));
    }
    poll(entries.data(), entries.size(), kPeriodMs / 10);
    for (size_t i = 0; i < entries.size() && !lost(); ++i) {
      if (entries[i].revents != 0) receive(ranks[i]);
    }
  }
}

void Heartbeat::receive(int rank) {
  Peer& peer = peers_[static_cast<size_t>(rank)];
  for (;;) {
    const long count = receive_some(peer.socket, peer.beat.data() + peer.received, sizeof(Beat) - peer.received);
    if (count == 0) return;
    if (count < 0) {
      peer.watched = false;
      return lose(name_of(rank) + " died: its connection closed without a goodbye");
    }
    peer.received += static_cast<size_t>(count);
    if (peer.received < sizeof(Beat)) continue;
    Beat beat;
    std::memcpy(&beat, peer.beat.data(), sizeof beat);
    beat.text[sizeof beat.text - 1] = 0;
    peer.received = 0;
    take(rank, beat);
    if (!peer.watched || lost()) return;
  }
}

void Heartbeat::take(int rank, const Beat& beat) {
  Peer& peer = peers_[static_cast<size_t>(rank)];
  const Deadline now = std::chrono::steady_clock::now();
  peer.last_beat = now;
  if (beat.kind == kBeat) note(&peer, beat.ticks, static_cast<State>(beat.state), now);
  if (beat.kind == kGoodbye) peer.watched = false;
  if (beat.kind == kFailed) lose(name_of(rank) + " failed; its own line says why");
  if (beat.kind == kVerdict) lose(beat.text);
}

void Heartbeat::note(Peer* peer, uint64_t ticks, State state, Deadline now) {
  if (ticks != peer->ticks || state != State::kWorking || state != peer->state) peer->last_move = now;
  if (state != State::kWaiting || state != peer->state) peer->waiting_since = now;
  peer->ticks = ticks;
  peer->state = state;
}

void Heartbeat::judge(Deadline now) {
  if (rank_ == 0) note(&peers_[0], ticks_.load(std::memory_order_relaxed), state(), now);
  double longest_wait = 0;
  for (const Peer& peer : peers_) longest_wait = std::max(longest_wait, seconds_between(peer.waiting_since, now));
  for (size_t r = 0; r < peers_.size(); ++r) {
    const Peer& peer = peers_[r];
    const double silent = seconds_between(peer.last_beat, now), still = seconds_between(peer.last_move, now);
    const std::string name = name_of(static_cast<int>(r));
    if (peer.watched && silent > timeout_s_) {
      return lose(name + " hangs or is cut off: no sign of life for " + std::to_string(static_cast<int>(silent)) + " s");
    }
    if (rank_ == 0 && (peer.watched || r == 0) && still > timeout_s_ && longest_wait > timeout_s_) {
      return lose(name + " hangs: the others have waited for it for " + std::to_string(static_cast<int>(longest_wait)) + " s (more with SIXTEEN_TIMEOUT)");
    }
  }
}

void Heartbeat::lose(const std::string& verdict) {
  const std::lock_guard lock(mutex_);
  if (lost()) return;
  verdict_ = verdict + "; all ranks stop, the last checkpoint is whole";
  lost_at_ = std::chrono::steady_clock::now();
  if (rank_ == 0) {
    const Beat beat = beat_of(kVerdict, verdict);
    for (const Peer& peer : peers_) {
      if (peer.watched) send(peer, beat);
    }
  }
  lost_.store(true, std::memory_order_release);
  for (const auto& wake : wakes_) wake();
}

void Heartbeat::end_when_stuck() {
  if (stop_ || seconds_between(lost_at_, std::chrono::steady_clock::now()) < kGraceS) return;
  const std::lock_guard lock(mutex_);
  std::fprintf(stderr, "sixteen: %s\n", verdict_.c_str());
  std::fflush(stderr);
  _exit(1);
}

}  // namespace sixteen
