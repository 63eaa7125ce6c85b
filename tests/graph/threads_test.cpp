// ThreadPool: every index once, aligned ranges, nesting, exceptions, concurrent callers, scratch memory,
// SIXTEEN_THREADS.
//
// Bites: with 2 cores a race shows rarely; the many short loops below are what gives it a chance.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "formats/error.h"
#include "graph/cpu/threads.h"

namespace sixteen::cpu {
namespace {

TEST(Threads, EveryIndexOnceInAlignedRanges) {
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int64_t count : {0, 1, 2, 7, 64, 1000, 1001}) {
      for (int64_t grain : {1, 3, 16, 2000}) {
        std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
        std::atomic<bool> aligned{true};
        pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
          if (begin % grain != 0 || begin >= end || (end != count && end - begin < grain)) aligned = false;
          for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
        });
        EXPECT_TRUE(aligned) << count << " by " << grain << " on " << threads;
        for (const std::atomic<int>& visit : visits)
          ASSERT_EQ(visit, 1) << count << " by " << grain << " on " << threads;
      }
    }
  }
}

TEST(Threads, ManyShortLoopsLoseNothing) {
  ThreadPool pool(3);
  std::vector<int64_t> values(256);
  for (int round = 0; round < 20000; ++round) {
    pool.parallel_for(256, 8, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) values[static_cast<size_t>(i)] += i;
    });
    if (round % 5000 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // let the workers fall asleep
  }
  for (int64_t i = 0; i < 256; ++i) ASSERT_EQ(values[static_cast<size_t>(i)], 20000 * i);
}

TEST(Threads, NestedLoopsRunOnTheCallingThread) {
  ThreadPool pool(3);
  std::atomic<int64_t> total{0};
  std::atomic<bool> inline_only{true};
  pool.parallel_for(12, 1, [&](int64_t begin, int64_t end) {
    const std::thread::id self = std::this_thread::get_id();
    for (int64_t i = begin; i < end; ++i) {
      pool.parallel_for(100, 1, [&](int64_t b, int64_t e) {
        if (std::this_thread::get_id() != self) inline_only = false;
        total += e - b;
      });
    }
  });
  EXPECT_TRUE(inline_only);
  EXPECT_EQ(total, 1200);
}

TEST(Threads, AnExceptionReachesTheCallerAndThePoolLivesOn) {
  ThreadPool pool(3);
  for (int64_t bad : {0, 17, 99}) {
    try {
      pool.parallel_for(100, 1, [&](int64_t begin, int64_t end) {
        if (begin <= bad && bad < end) fail("index ", bad);
      });
      FAIL() << "no exception";
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()), "index " + std::to_string(bad));
    }
    std::atomic<int64_t> visited{0};
    pool.parallel_for(100, 1, [&](int64_t begin, int64_t end) { visited += end - begin; });
    EXPECT_EQ(visited, 100);
  }
}

TEST(Threads, TwoCallersMayShareAPool) {
  ThreadPool pool(2);
  std::atomic<int64_t> total{0};
  auto caller = [&] {
    for (int i = 0; i < 500; ++i) {
      pool.parallel_for(64, 4, [&](int64_t begin, int64_t end) { total += end - begin; });
    }
  };
  std::thread other(caller);
  caller();
  other.join();
  EXPECT_EQ(total, 2 * 500 * 64);
}

TEST(Threads, ScratchIsAlignedKeptAndSeparateBySlot) {
  ThreadPool pool(2);
  void* small = pool.scratch(100);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(small) % 64, 0u);
  EXPECT_EQ(pool.scratch(50), small);
  EXPECT_NE(pool.scratch(100, 1), small);
  char* big = static_cast<char*>(pool.scratch(5 << 20, 2));
  big[(5 << 20) - 1] = 1;
  EXPECT_EQ(pool.scratch(4 << 20, 2), big);
}

TEST(Threads, TheEnvironmentSaysHowMany) {
  const char* before = std::getenv("SIXTEEN_THREADS");
  const std::string saved = before == nullptr ? "" : before;
  setenv("SIXTEEN_THREADS", "3", 1);
  EXPECT_EQ(ThreadPool().threads(), 3);
  for (const char* bad : {"0", "-1", "two", "3x", "99999"}) {
    setenv("SIXTEEN_THREADS", bad, 1);
    EXPECT_THROW(ThreadPool(), Error) << bad;
  }
  if (saved.empty()) {
    unsetenv("SIXTEEN_THREADS");
  } else {
    setenv("SIXTEEN_THREADS", saved.c_str(), 1);
  }
  EXPECT_GE(ThreadPool().threads(), 1);
}

}  // namespace
}  // namespace sixteen::cpu
