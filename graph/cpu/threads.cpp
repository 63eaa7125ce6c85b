// The thread pool (threads.h): a job is a set of ranges, one share a thread, cut into chunks that any thread may claim.
//
// A worker that is still asleep when the others have finished is not waited for: it enters a job by raising `inside`,
// then looks whether the job is still open. The caller closes the job and waits for `inside` to fall to 0. All four
// operations are sequentially consistent, which that handshake needs. Idle workers spin for some tens of microseconds
// (the gap between two kernels), then sleep in the kernel, so that a process that waits for input costs nothing.
// Bites: the pool's threads never touch the floating-point state; kernels must leave it alone too.
#include "graph/cpu/threads.h"

#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "formats/check.h"
#include "formats/error.h"

namespace sixteen::cpu {

namespace {

constexpr int kMaxThreads = 1024;
constexpr int kChunksPerThread = 4;  // finer for balance, coarser for cost
constexpr auto kSpin = std::chrono::microseconds(40);
constexpr size_t kHugePage = size_t{2} << 20;

thread_local bool t_in_body = false;  // inside a body: nested loops run inline

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Spins until done() or kSpin has passed; returns done().
template <class Done>
bool spin_until(Done done) {
  if (done()) return true;
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 16; ++i) {
      pause_cpu();
      if (done()) return true;
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

int cores_of_process() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

int default_threads() {
  const char* text = std::getenv("SIXTEEN_THREADS");
  if (text == nullptr || *text == '\0') return std::min(cores_of_process(), kMaxThreads);
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (*end != '\0' || value < 1 || value > kMaxThreads) {
    fail("SIXTEEN_THREADS: expected a number of threads from 1 to ", kMaxThreads, ", found '", text, "'");
  }
  return static_cast<int>(value);
}

// The calling thread's scratch buffers, freed when the thread ends.
class Scratch {
 public:
  ~Scratch() {
    for (Buffer& buffer : buffers_) std::free(buffer.data);
  }

  void* get(size_t bytes, int slot) {
    CHECK(slot >= 0 && slot < 64);
    if (buffers_.size() <= static_cast<size_t>(slot)) buffers_.resize(static_cast<size_t>(slot) + 1);
    Buffer& buffer = buffers_[static_cast<size_t>(slot)];
    if (bytes > buffer.bytes || buffer.data == nullptr) {
      std::free(buffer.data);
      buffer = {};
      const size_t alignment = bytes >= kHugePage ? kHugePage : 64;
      const size_t rounded = (std::max<size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
      buffer.data = std::aligned_alloc(alignment, rounded);
      if (buffer.data == nullptr) throw std::bad_alloc();
      if (alignment == kHugePage) madvise(buffer.data, rounded, MADV_HUGEPAGE);  // a hint: failure costs only time
      buffer.bytes = rounded;
    }
    return buffer.data;
  }

 private:
  struct Buffer {
    void* data = nullptr;
    size_t bytes = 0;
  };
  std::vector<Buffer> buffers_;
};

}  // namespace

struct ThreadPool::Impl {
  // The part of the loop that belongs to one thread first; others take from it when theirs is done.
  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };

  explicit Impl(int threads) : thread_count(threads), shares(static_cast<size_t>(threads)) {
    try {
      for (int i = 1; i < threads; ++i) workers.emplace_back([this, i] { work(i); });
    } catch (...) {
      stop();
      throw;
    }
  }

  ~Impl() { stop(); }

  void stop() {
    quit = true;
    wake();
    for (std::thread& worker : workers) worker.join();
  }

  void wake() {
    signal.fetch_add(1);
    signal.notify_all();  // no system call when nobody sleeps
  }

  void work(int thread) {
    t_in_body = true;
    int seen = 0;
    while (!quit) {
      if (!spin_until([&] { return signal.load() != seen; })) signal.wait(seen);
      seen = signal.load();
      inside.fetch_add(1);
      if (open.load()) take_chunks(thread);
      if (inside.fetch_sub(1) == 1) inside.notify_one();
    }
  }

  // Runs chunks until none is left: this thread's share, then those of the threads after it.
  void take_chunks(int thread) {
    for (int i = 0; i < thread_count; ++i) {
      Share& share = shares[static_cast<size_t>((thread + i) % thread_count)];
      while (true) {
        const int64_t begin = share.next.fetch_add(chunk, std::memory_order_relaxed);
        if (begin >= share.end || failed.load(std::memory_order_relaxed)) break;
        try {
          (*body)(begin, std::min(begin + chunk, share.end));
        } catch (...) {
          if (!failed.exchange(true)) error = std::current_exception();
        }
      }
    }
  }

  void run(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& loop_body) {
    const int64_t grains = (count + grain - 1) / grain;
    const int64_t chunk_grains = std::max<int64_t>(1, grains / (int64_t{thread_count} * kChunksPerThread));
    chunk = chunk_grains * grain;
    for (int i = 0; i < thread_count; ++i) {
      Share& share = shares[static_cast<size_t>(i)];
      share.next.store(grains * i / thread_count * grain, std::memory_order_relaxed);
      share.end = std::min(count, grains * (i + 1) / thread_count * grain);
    }
    body = &loop_body;
    failed = false;
    error = nullptr;
    open = true;
    wake();
    t_in_body = true;
    take_chunks(0);
    t_in_body = false;
    open = false;
    while (!spin_until([&] { return inside.load() == 0; })) {
      const int now = inside.load();
      if (now != 0) inside.wait(now);
    }
    if (failed) std::rethrow_exception(std::exchange(error, nullptr));
  }

  const int thread_count;
  std::vector<Share> shares;
  std::vector<std::thread> workers;
  std::mutex busy;  // held by the thread whose loop runs
  const std::function<void(int64_t, int64_t)>* body = nullptr;
  int64_t chunk = 1;
  std::exception_ptr error;
  std::atomic<bool> failed{false};
  std::atomic<bool> open{false};
  std::atomic<bool> quit{false};
  alignas(64) std::atomic<int> signal{0};
  alignas(64) std::atomic<int> inside{0};
};

ThreadPool::ThreadPool(int threads) {
  CHECK(threads >= 0 && threads <= kMaxThreads);
  impl_ = std::make_unique<Impl>(threads == 0 ? default_threads() : threads);
}

ThreadPool::~ThreadPool() = default;

int ThreadPool::threads() const { return impl_->thread_count; }

void ThreadPool::parallel_for(int64_t count, int64_t grain,
                              const std::function<void(int64_t begin, int64_t end)>& body) {
  CHECK(grain >= 1);
  if (count <= 0) return;
  // Inline: nothing to split, nested, or another thread's loop has the pool.
  if (impl_->thread_count == 1 || count <= grain || t_in_body || !impl_->busy.try_lock()) {
    body(0, count);
    return;
  }
  std::lock_guard<std::mutex> lock(impl_->busy, std::adopt_lock);
  impl_->run(count, grain, body);
}

void* ThreadPool::scratch(size_t bytes, int slot) {
  static thread_local Scratch buffers;
  return buffers.get(bytes, slot);
}

}  // namespace sixteen::cpu
