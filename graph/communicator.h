// What the ranks of one run say to each other: sums, gathers and copies of device buffers, and small values of the host.
//
// Implementations: alone (this header), SocketCommunicator (socket_communicator.h: host memory over TCP), NcclCommunicator
// (cuda/). Who the ranks are, and whether they are still there, is world.h's.
// Bites: every rank starts the same collectives in the same order. Collectives of device buffers are asynchronous: they begin
// when what was enqueued before is done, and their memory is theirs until wait(), after which the device's next work sees
// the result. Sums over ranks go up a fixed binary tree (socket) or in NCCL's order, never in the order of arrival.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "formats/check.h"
#include "formats/dtype.h"

namespace sixteen {

class Communicator {
 public:
  using Ticket = int64_t;

  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  // Device memory; kF32 or kBF16 (added up in fp32 or wider, rounded at the end of a hop).
  virtual Ticket reduce_scatter(const void* x, void* y, int64_t count, DType dtype) = 0;  // x [size, count], y [count]: own part
  virtual Ticket all_gather(const void* x, void* y, int64_t count, DType dtype) = 0;      // x [count], y [size, count]
  virtual Ticket all_reduce(void* x, int64_t count, DType dtype) = 0;                     // x [count], in place
  virtual void wait(Ticket ticket) = 0;

  // Host memory; returns when done. mine [bytes] -> all [size, bytes].
  virtual void all_gather_host(const void* mine, void* all, size_t bytes) = 0;

  // Says that this rank is at work; throws Error naming the rank when one was lost. Cheap.
  virtual void alive() {}
  // Between true and false this rank promises to come to its next collective, or to say alive(); see heartbeat.h.
  virtual void set_working(bool) {}

  // Rank 0's value on every rank. T is plain old data.
  template <class T>
  T from_first(const T& value) {
    return gather(value).front();
  }
  // Every rank's value, by rank.
  template <class T>
  std::vector<T> gather(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::vector<T> all(static_cast<size_t>(size()));
    all_gather_host(&value, all.data(), sizeof(T));
    return all;
  }
  void barrier() { gather(char{0}); }
};

// A run of one rank: nothing to say, so graphs have no collectives and host values are copied.
class Alone final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  Ticket reduce_scatter(const void*, void*, int64_t, DType) override { CHECK(false); }
  Ticket all_gather(const void*, void*, int64_t, DType) override { CHECK(false); }
  Ticket all_reduce(void*, int64_t, DType) override { CHECK(false); }
  void wait(Ticket) override { CHECK(false); }
  void all_gather_host(const void* mine, void* all, size_t bytes) override { std::memcpy(all, mine, bytes); }
};

}  // namespace sixteen
