// The ranks of a run, connected: rendezvous at rank 0, a mesh of TCP connections, the heartbeat over them.
//
// What crosses the mesh is small values of the host (all_gather) and, on CPUs, whole buffers (exchange, for
// SocketCommunicator); GPUs use NCCL, to which the mesh hands its id.
// Bites: one thread at a time may use the mesh, and every rank makes the same calls in the same order. Whatever is lost on
// the way is thrown as the heartbeat's verdict, which names the rank.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "graph/heartbeat.h"
#include "graph/place.h"

namespace sixteen {

class World {
 public:
  // Meets the other ranks. Throws Error naming those that did not come within place.meet_s.
  explicit World(const Place& place);
  ~World();

  const Place& place() const { return place_; }
  int rank() const { return place_.rank; }
  int size() const { return place_.size; }

  struct Part {
    std::byte* data = nullptr;
    size_t bytes = 0;
  };
  // Sends out[r] to rank r and receives in[r] from it, all at once; [size] each, the own entries are left alone.
  void exchange(std::span<const Part> out, std::span<const Part> in);
  void all_gather(const void* mine, void* all, size_t bytes);  // mine [bytes] -> all [size, bytes]

  void abandon();  // ends an exchange that another thread is in: this rank is leaving in the middle of it

  Heartbeat& heartbeat() { return *heartbeat_; }

 private:
  void lost_peer(int rank);

  Place place_;
  std::vector<Socket> mesh_;  // by rank
  std::atomic<bool> abandoned_{false};
  std::unique_ptr<Heartbeat> heartbeat_;
};

// Of this process: nullptr when the environment says that it runs alone.
std::shared_ptr<World> join_world();

}  // namespace sixteen
