// The ranks of a world as threads of one test process: the same sockets and the same code as processes, results at hand.
//
// Bites: a rank that fails must not fail alone, or the others wait for it until their heartbeat gives it up: throw, do not
// return early.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "graph/world.h"
#include "model/launcher.h"

namespace sixteen::testing {

// Runs body(rank, world) in each of `ranks` threads and rethrows the first rank's exception; world is null for one rank.
inline void on_ranks(int ranks, const std::function<void(int, std::shared_ptr<World>)>& body) {
  if (ranks == 1) return body(0, nullptr);
  const int port = free_port();
  std::vector<std::exception_ptr> errors(static_cast<size_t>(ranks));
  std::vector<std::thread> threads;
  for (int r = 0; r < ranks; ++r) {
    threads.emplace_back([&, r] {
      try {
        body(r, std::make_shared<World>(Place{.rank = r,
                                              .size = ranks,
                                              .local_rank = r,
                                              .local_size = ranks,
                                              .address = "127.0.0.1",
                                              .port = port,
                                              .timeout_s = 20,
                                              .launcher = "test"}));
      } catch (...) {
        errors[static_cast<size_t>(r)] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors) {
    if (error != nullptr) std::rethrow_exception(error);
  }
}

}  // namespace sixteen::testing
