// A block of host memory and its way to a device or back, beside what runs there: how batches are fed and losses fetched
// without a run ever waiting for the host.
//
// In:  write host(), send(), deliver(to): runs that follow find the bytes at `to`; runs before it are not disturbed.
// Out: fetch(from) after a run; wait(); read host(). Runs that follow may overwrite `from`.
// Bites: one direction at a time. host() may be written or read only after wait().
#pragma once

#include <cstddef>

namespace sixteen {

class Transfer {
 public:
  virtual ~Transfer() = default;
  virtual std::byte* host() = 0;                             // page-locked where copies need that to run beside kernels
  virtual void send(size_t bytes) = 0;                       // begins to copy; returns at once
  virtual void deliver(void* to) = 0;                        // what was sent, in the order of the runs
  virtual void fetch(const void* from, size_t bytes) = 0;    // in the order of the runs; returns at once
  virtual void wait() = 0;                                   // until what was begun is done
};

}  // namespace sixteen
