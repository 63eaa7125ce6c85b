// See jobs.h.
#include "formats/jobs.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <thread>
#include <vector>

namespace sixteen {
namespace {

size_t threads_or_default(int threads) {
  if (threads > 0) return static_cast<size_t>(threads);
  const char* text = std::getenv("SIXTEEN_THREADS");
  const int wanted = text == nullptr ? 0 : std::atoi(text);  // the engine's pool complains about nonsense
  return wanted > 0 ? static_cast<size_t>(wanted) : std::max<size_t>(1, std::thread::hardware_concurrency());
}

}  // namespace

void run_jobs(size_t count, int threads, const std::function<void(size_t)>& job) {
  std::vector<std::exception_ptr> failures(count);
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < count; i = next++) {
      try {
        job(i);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  };
  std::vector<std::thread> helpers;
  const size_t extra = std::min(threads_or_default(threads), count);
  for (size_t i = 1; i < extra; ++i) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure != nullptr) std::rethrow_exception(failure);
  }
}

}  // namespace sixteen
