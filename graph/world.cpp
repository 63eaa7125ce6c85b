// See world.h.
#include "graph/world.h"

#include <poll.h>

#include <cstring>

#include "formats/check.h"
#include "formats/error.h"
#include "graph/rendezvous.h"

namespace sixteen {
namespace {

constexpr int kPollMs = 1000;      // between two looks at the heartbeat; its verdict wakes the poll anyway
constexpr double kVerdictS = 3;    // rank 0 learns of a death at the same time as its peers do

}  // namespace

World::World(const Place& place) : place_(place) {
  Meeting meeting = meet(place);
  mesh_ = std::move(meeting.mesh);
  heartbeat_ = std::make_unique<Heartbeat>(place.rank, std::move(meeting.members), std::move(meeting.greeted), place.timeout_s);
  heartbeat_->on_loss([this] {
    for (const Socket& socket : mesh_) socket.shut_down();
  });
}

void World::abandon() {
  abandoned_ = true;
  for (const Socket& socket : mesh_) socket.shut_down();
}

World::~World() { heartbeat_.reset(); }  // while the sockets that its thread wakes still exist

void World::lost_peer(int rank) {
  const Deadline deadline = seconds_from_now(kVerdictS);
  while (!abandoned_ && !heartbeat_->lost() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  heartbeat_->check();
  fail(heartbeat_->name_of(rank), " closed its connection; all ranks stop, the last checkpoint is whole");
}

void World::exchange(std::span<const Part> out, std::span<const Part> in) {
  const size_t ranks = mesh_.size();
  CHECK(out.size() == ranks && in.size() == ranks);
  std::vector<size_t> sent(ranks, 0), received(ranks, 0);
  const size_t self = static_cast<size_t>(rank());
  for (;;) {
    heartbeat_->check();
    std::vector<pollfd> entries;
    std::vector<size_t> who;
    for (size_t r = 0; r < ranks; ++r) {
      if (r == self) continue;
      const int events = (sent[r] < out[r].bytes ? POLLOUT : 0) | (received[r] < in[r].bytes ? POLLIN : 0);
      if (events == 0) continue;
      entries.push_back({mesh_[r].fd(), static_cast<short>(events), 0});
      who.push_back(r);
    }
    if (entries.empty()) return;
    poll(entries.data(), entries.size(), kPollMs);
    for (size_t i = 0; i < entries.size(); ++i) {
      const size_t r = who[i];
      long count = 0;
      if ((entries[i].revents & (POLLOUT | POLLERR)) != 0 && sent[r] < out[r].bytes) {
        count = send_some(mesh_[r], out[r].data + sent[r], out[r].bytes - sent[r]);
        if (count < 0) lost_peer(static_cast<int>(r));
        sent[r] += static_cast<size_t>(count);
      }
      if ((entries[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && received[r] < in[r].bytes) {
        count = receive_some(mesh_[r], in[r].data + received[r], in[r].bytes - received[r]);
        if (count < 0) lost_peer(static_cast<int>(r));
        received[r] += static_cast<size_t>(count);
      }
    }
  }
}

void World::all_gather(const void* mine, void* all, size_t bytes) {
  std::vector<Part> out(mesh_.size()), in(mesh_.size());
  std::byte* to = static_cast<std::byte*>(all);
  std::byte* own = to + static_cast<size_t>(rank()) * bytes;
  std::memmove(own, mine, bytes);
  for (size_t r = 0; r < mesh_.size(); ++r) {
    out[r] = {own, bytes};
    in[r] = {to + r * bytes, bytes};
  }
  exchange(out, in);
}

std::shared_ptr<World> join_world() {
  const Place place = find_place();
  return place.size > 1 ? std::make_shared<World>(place) : nullptr;
}

}  // namespace sixteen
