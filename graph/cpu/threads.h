// A fixed pool of threads and a loop over it.
//
// Bites: results must not depend on the number of threads: every output element is computed by one call of the body, in
// an order that the split does not change. Reductions over rows go through fixed blocks (kRowBlock), never through "one
// partial sum a thread". Nested parallel_for runs the inner loop on the calling thread. An exception in the body
// reaches the caller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace sixteen::cpu {

constexpr int64_t kRowBlock = 128;  // rows of one partial sum in reductions over rows

class ThreadPool {
 public:
  // threads = 0: SIXTEEN_THREADS if set, else all cores that this process may use.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;

  int threads() const;

  // Calls body(begin, end) for ranges that tile [0, count): each begins at a multiple of `grain` and is at least
  // `grain` long except the last. Blocks until done. A call costs some 2 microseconds: give less work than that a grain
  // of `count`.
  void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& body);

  // Scratch memory of the calling thread, 64-byte aligned, kept between calls; `slot` (0 to 63) separates users that
  // nest. The GEMM has 60 to 63. A call that asks for more than before moves the slot's memory and drops what it held.
  static void* scratch(size_t bytes, int slot = 0);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sixteen::cpu
