// See rendezvous.h.
#include "graph/rendezvous.h"

#include <unistd.h>

#include <cstring>

#include "formats/error.h"

namespace sixteen {
namespace {

constexpr char kWord[8] = {'S', '1', '6', 'R', 'A', 'N', 'K', '1'};
constexpr double kAnswerS = 5;  // what rank 0's answer may take beyond the waiting for others

struct Greeting {
  char word[8];
  int rank = 0, size = 0;
  Member member;
};

struct Answer {
  int welcome = 0;
  char text[508] = "";
};

Greeting greeting(const Place& place, int mesh_port) {
  Greeting g;
  std::memcpy(g.word, kWord, sizeof kWord);
  g.rank = place.rank;
  g.size = place.size;
  g.member.port = mesh_port;
  g.member.pid = static_cast<int>(getpid());
  gethostname(g.member.host, sizeof g.member.host - 1);
  std::strncpy(g.member.address, place.address.c_str(), sizeof g.member.address - 1);
  return g;
}

std::string where(const Place& place) { return place.address + ":" + std::to_string(place.port); }

std::string missing(const Place& place, const std::vector<Socket>& greeted) {
  std::string ranks;
  int count = 0;
  for (int r = 1; r < place.size; ++r) {
    if (greeted[static_cast<size_t>(r)].open()) continue;
    if (++count <= 8) ranks += (ranks.empty() ? "" : ", ") + std::to_string(r);
  }
  return (count == 1 ? "rank " : "ranks ") + ranks + (count > 8 ? ", ..." : "") + " of " + std::to_string(place.size);
}

[[noreturn]] void refuse(const std::vector<Socket>& greeted, const std::string& why) {
  Answer answer;
  std::strncpy(answer.text, why.c_str(), sizeof answer.text - 1);
  for (const Socket& socket : greeted) {
    if (socket.open()) send_all(socket, &answer, sizeof answer, seconds_from_now(1));
  }
  fail(why);
}

// Rank 0: waits for everyone.
void gather_greetings(const Place& place, const Socket& door, Meeting* m) {
  const Deadline deadline = seconds_from_now(place.meet_s);
  for (int here = 1; here < place.size;) {
    Socket guest = accept_one(door, deadline);
    if (!guest.open()) {
      refuse(m->greeted, missing(place, m->greeted) + " did not come to " + where(place) + " within " +
                             std::to_string(static_cast<int>(place.meet_s)) + " s (" + place.launcher +
                             "); start all ranks, or set SIXTEEN_TIMEOUT");
    }
    Greeting g;
    if (!receive_all(guest, &g, sizeof g, seconds_from_now(1)) || std::memcmp(g.word, kWord, sizeof kWord) != 0) continue;
    const std::string rank = "rank " + std::to_string(g.rank);
    if (g.size != place.size) {
      m->greeted.push_back(std::move(guest));
      refuse(m->greeted, rank + " came from a run of " + std::to_string(g.size) + " ranks to one of " + std::to_string(place.size) + " at " +
                             where(place) + "; give each run a SIXTEEN_PORT of its own");
    }
    if (g.rank < 1 || g.rank >= place.size || m->greeted[static_cast<size_t>(g.rank)].open()) {
      m->greeted.push_back(std::move(guest));
      refuse(m->greeted, rank + " of " + std::to_string(place.size) + " came twice to " + where(place) + "; give each run a SIXTEEN_PORT of its own");
    }
    g.member.host[sizeof g.member.host - 1] = 0;
    std::strncpy(g.member.address, peer_address(guest).c_str(), sizeof g.member.address - 1);
    m->members[static_cast<size_t>(g.rank)] = g.member;
    m->greeted[static_cast<size_t>(g.rank)] = std::move(guest);
    ++here;
  }
  Answer welcome;
  welcome.welcome = 1;
  for (int r = 1; r < place.size; ++r) {
    const Socket& socket = m->greeted[static_cast<size_t>(r)];
    const Deadline soon = seconds_from_now(1);
    if (!send_all(socket, &welcome, sizeof welcome, soon) ||
        !send_all(socket, m->members.data(), m->members.size() * sizeof(Member), soon)) {
      fail("rank ", r, " of ", place.size, " left during the start");
    }
  }
}

void greet(const Place& place, const Greeting& mine, Meeting* m) {
  Socket socket = connect_to(place.address, place.port, seconds_from_now(place.meet_s));
  Answer answer;
  const Deadline deadline = seconds_from_now(place.meet_s + kAnswerS);
  if (!socket.open() || !send_all(socket, &mine, sizeof mine, deadline)) {
    fail("rank 0 of ", place.size, " did not come to ", where(place), " within ", place.meet_s, " s (", place.launcher,
         "); start all ranks, or set MASTER_ADDR, SIXTEEN_PORT or SIXTEEN_TIMEOUT");
  }
  if (!receive_all(socket, &answer, sizeof answer, deadline)) fail("rank 0 of ", place.size, " left ", where(place), " before all ranks had come");
  answer.text[sizeof answer.text - 1] = 0;
  if (answer.welcome == 0) fail(answer.text);
  if (!receive_all(socket, m->members.data(), m->members.size() * sizeof(Member), seconds_from_now(kAnswerS))) {
    fail("rank 0 of ", place.size, " left ", where(place), " during the start");
  }
  m->greeted[0] = std::move(socket);
}

// Every rank connects to those below it and is called by those above.
void connect_mesh(const Place& place, const Socket& door, Meeting* m) {
  const Deadline deadline = seconds_from_now(place.meet_s);
  for (int r = 0; r < place.rank; ++r) {
    const Member& member = m->members[static_cast<size_t>(r)];
    Socket socket = connect_to(r == 0 ? place.address : member.address, member.port, deadline);
    if (!socket.open() || !send_all(socket, &place.rank, sizeof place.rank, deadline)) {
      fail("rank ", r, " (", member.host, ", process ", member.pid, ") cannot be reached at ", member.address, ":", member.port);
    }
    m->mesh[static_cast<size_t>(r)] = std::move(socket);
  }
  for (int missing_ranks = place.size - 1 - place.rank; missing_ranks > 0;) {
    Socket guest = accept_one(door, deadline);
    if (!guest.open()) fail("rank ", place.rank, ": ", missing_ranks, " of the ranks above it did not connect; see their own lines");
    int rank = -1;
    if (!receive_all(guest, &rank, sizeof rank, seconds_from_now(1)) || rank <= place.rank || rank >= place.size) continue;
    m->mesh[static_cast<size_t>(rank)] = std::move(guest);
    --missing_ranks;
  }
}

}  // namespace

Meeting meet(const Place& place) {
  Meeting m;
  m.members.resize(static_cast<size_t>(place.size));
  m.greeted.resize(static_cast<size_t>(place.size));
  m.mesh.resize(static_cast<size_t>(place.size));
  int mesh_port = 0;
  const Socket mesh_door = listen_on(&mesh_port);
  const Greeting mine = greeting(place, mesh_port);
  if (place.rank == 0) {
    int port = place.port;
    const Socket door = listen_on(&port);
    m.members[0] = mine.member;
    gather_greetings(place, door, &m);
  } else {
    greet(place, mine, &m);
  }
  connect_mesh(place, mesh_door, &m);
  return m;
}

}  // namespace sixteen
