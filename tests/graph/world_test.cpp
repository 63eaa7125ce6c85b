// Ranks as processes of this host: collectives whose sums are exact, and what a killed, a stopped, a failed and a missing
// rank do to the others.
#include "graph/world.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "formats/error.h"
#include "tests/support/ranks.h"

namespace sixteen {
namespace {

using testing::End;
using testing::Ranks;
using testing::require;
constexpr double kTimeoutS = testing::kRankTimeoutS;

// Element i of rank r: small integers, so that every sum is exact in fp32, and in bf16 up to 256.
float element(int rank, int64_t i) { return static_cast<float>((i * 7 + rank * 3) % 23 - 11); }

float sum_over_ranks(int ranks, int64_t i) {
  float sum = 0;
  for (int r = 0; r < ranks; ++r) sum += element(r, i);
  return sum;
}

void check_all_reduce(Communicator& c, int64_t count) {
  std::vector<float> x(count);
  std::vector<uint16_t> narrow(count);
  for (int64_t i = 0; i < count; ++i) narrow[i] = float_to_bf16(x[i] = element(c.rank(), i));
  const auto wide_ticket = c.all_reduce(x.data(), count, DType::kF32);
  const auto narrow_ticket = c.all_reduce(narrow.data(), count, DType::kBF16);  // both under way at once
  c.wait(wide_ticket);
  c.wait(narrow_ticket);
  for (int64_t i = 0; i < count; ++i) {
    require(x[i] == sum_over_ranks(c.size(), i), "all_reduce fp32 " + std::to_string(i));
    require(bf16_to_float(narrow[i]) == x[i], "all_reduce bf16 " + std::to_string(i));
  }
}

void check_scatter_and_gather(Communicator& c, int64_t count) {
  std::vector<float> x(count * c.size()), own(count), all(count * c.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] = element(c.rank(), static_cast<int64_t>(i));
  c.wait(c.reduce_scatter(x.data(), own.data(), count, DType::kF32));
  for (int64_t i = 0; i < count; ++i) {
    require(own[i] == sum_over_ranks(c.size(), c.rank() * count + i), "reduce_scatter " + std::to_string(i));
  }
  c.wait(c.all_gather(own.data(), all.data(), count, DType::kF32));
  for (size_t i = 0; i < all.size(); ++i) require(all[i] == sum_over_ranks(c.size(), static_cast<int64_t>(i)), "all_gather");
}

void check_collectives(Communicator& c, World&) {
  for (const int64_t count : {1, 5, 1000, 300001}) {  // the last is more than sockets buffer
    check_all_reduce(c, count);
    check_scatter_and_gather(c, count);
  }
  const std::vector<int> ranks = c.gather(c.rank() * 10);
  for (int r = 0; r < c.size(); ++r) require(ranks[r] == r * 10, "gather");
  require(c.from_first(c.rank() + 5) == 5, "from_first");
  c.barrier();
}

TEST_F(Ranks, CollectivesAreExact) {
  for (const int ranks : {2, 3, 4}) {
    start(ranks, check_collectives);
    for (int r = 0; r < ranks; ++r) expect_good(r);
    clear();
  }
}

// ((a + b) + (c + d)) in fp32, whoever comes first: 1 + 2^-24 + 2^-24 + 2^-24 tells the trees apart.
TEST_F(Ranks, SumsGoUpATree) {
  start(4, [](Communicator& c, World&) {
    usleep(20000 * static_cast<unsigned>(3 - c.rank()));
    float x = c.rank() == 0 ? 1.0f : 0x1p-24f;
    c.wait(c.all_reduce(&x, 1, DType::kF32));
    require(x == (1.0f + 0x1p-24f) + (0x1p-24f + 0x1p-24f) && x > 1, "sum " + std::to_string(x));
  });
  for (int r = 0; r < 4; ++r) expect_good(r);
}

void reduce_for_ever(Communicator& c, World&) {
  float x = 1;
  for (;;) c.wait(c.all_reduce(&x, 1, DType::kF32));
}

TEST_F(Ranks, AKilledRankStopsTheOthers) {
  start(3, reduce_for_ever);
  usleep(300000);
  kill(child(1), SIGKILL);
  for (const int r : {0, 2}) expect_stopped(r, "rank 1 (");
}

TEST_F(Ranks, AKilledRankZeroStopsTheOthers) {
  start(3, reduce_for_ever);
  usleep(300000);
  kill(child(0), SIGKILL);
  for (const int r : {1, 2}) expect_stopped(r, "rank 0 (");
}

TEST_F(Ranks, AStoppedRankIsFound) {
  start(3, reduce_for_ever);
  usleep(300000);
  kill(child(2), SIGSTOP);
  for (const int r : {0, 1}) expect_stopped(r, "rank 2 (");
}

// Alive, beating, and not coming: only that the others wait for it tells.
TEST_F(Ranks, AHangingRankIsFound) {
  start(3, [](Communicator& c, World& world) {
    c.set_working(true);
    while (c.rank() == 1 && !world.heartbeat().lost()) usleep(10000);
    c.barrier();
  });
  for (const int r : {0, 1, 2}) expect_stopped(r, "rank 1 (");
}

// A rank that is slow but moves is waited for.
TEST_F(Ranks, ASlowRankIsWaitedFor) {
  start(2, [](Communicator& c, World&) {
    c.set_working(true);
    for (int i = 0; c.rank() == 1 && i < static_cast<int>(kTimeoutS * 15); ++i) {
      usleep(100000);
      c.alive();
    }
    c.barrier();
  });
  for (const int r : {0, 1}) expect_good(r);
}

TEST_F(Ranks, AFailedRankStopsTheOthers) {
  start(3, [](Communicator& c, World&) {
    c.barrier();
    if (c.rank() == 2) fail("disk full");
    c.barrier();
  });
  for (const int r : {0, 1}) expect_stopped(r, "rank 2 (");
  EXPECT_EQ(wait(2).line, "disk full");
}

// A main thread that never looks (a device call that does not return) is ended all the same.
TEST_F(Ranks, AStuckRankIsEnded) {
  start(2, [](Communicator& c, World&) {
    c.barrier();
    for (;;) pause();
  });
  usleep(300000);
  kill(child(1), SIGKILL);
  const End end = wait(0);
  EXPECT_TRUE(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 1) << end.status;
  EXPECT_LT(seconds(), kTimeoutS + Heartbeat::kGraceS + 3);
}

TEST_F(Ranks, ARankMayLeaveEarly) {
  start(3, [](Communicator& c, World&) {
    c.barrier();
    if (c.rank() == 0) usleep(1500000);  // packs, while the others are gone
    c.alive();
  });
  for (const int r : {0, 1, 2}) expect_good(r);
}

TEST_F(Ranks, AMissingRankIsNamed) {
  start(3, check_collectives, 1);
  for (const int r : {0, 2}) expect_stopped(r, "rank 1 of 3 did not come");
}

TEST_F(Ranks, AMissingRankZeroIsNamed) {
  start(3, check_collectives, 0);
  for (const int r : {1, 2}) expect_stopped(r, "rank 0 of 3 did not come");
}

}  // namespace
}  // namespace sixteen
