// Collectives over host memory and the TCP mesh of a World, in a thread of its own, so that they overlap computation.
//
// Every rank sends each other rank its part and adds up what it receives itself: each byte crosses the wire once a direction,
// as with a ring, and the sum goes up the binary tree over ranks that splits [0, size) in halves. So the bits do not depend on
// who came first, and with sizes that are powers of two they are those of one rank adding up the same leaves.
// Bites: the host's own small values take the same queue, so their order against collectives is the calls' order.
#pragma once

#include <memory>

#include "graph/communicator.h"
#include "graph/world.h"

namespace sixteen::cpu {

std::shared_ptr<Communicator> make_socket_communicator(std::shared_ptr<World> world);

}  // namespace sixteen::cpu
