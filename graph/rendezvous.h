// How ranks that know only rank 0's address find each other: everyone greets rank 0, rank 0 answers with the list of all.
//
// Bites: a stranger who connects to the port (a scanner, a rank of another run) is not part of it: greetings begin with a
// word of ours and say how many ranks their run has.
#pragma once

#include <vector>

#include "graph/heartbeat.h"
#include "graph/place.h"

namespace sixteen {

struct Meeting {
  std::vector<Member> members;   // by rank
  std::vector<Socket> greeted;   // rank 0: its connection to every other rank; the others: to rank 0
  std::vector<Socket> mesh;      // a second connection to every other rank
};

// Throws Error, on every rank that is there, naming the ranks that did not come within place.meet_s.
Meeting meet(const Place& place);

}  // namespace sixteen
