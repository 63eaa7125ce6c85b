// One batch in flight: its inputs on their way to the device, its losses on their way back.
//
// Bites: memory grows with the largest batch so far; a pass is reused only once its losses were read.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <span>

#include "formats/check.h"
#include "graph/executor.h"

namespace sixteen {

class Pass {
 public:
  enum Input : size_t { kIds, kTargets, kRowWeight, kHints, kInputs };

  // The run submitted next finds `values` at `to`.
  template <class T>
  void put(Device& device, Input input, std::span<const T> values, const Buffer& to) {
    CHECK(to.bytes() >= values.size_bytes());
    Transfer& way = room(device, &ways_[input], values.size_bytes());
    std::memcpy(way.host(), values.data(), values.size_bytes());
    way.send(values.size_bytes());
    way.deliver(to.data());
  }
  void fetch(Device& device, const void* nll, int64_t count);  // of the run submitted last
  std::span<const float> nll();                                 // waits
  double weighted_loss();                                       // waits: sum of kRowWeight times nll, in order
  int64_t count() const { return count_; }

 private:
  struct Way {
    std::unique_ptr<Transfer> transfer;
    size_t bytes = 0;
  };
  static Transfer& room(Device& device, Way* way, size_t bytes);  // its host memory is free to be written

  std::array<Way, kInputs> ways_;
  Way back_;
  int64_t count_ = 0;
};

}  // namespace sixteen
