// See sockets.h.
#include "graph/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "formats/error.h"

namespace sixteen {
namespace {

constexpr auto kRetry = std::chrono::milliseconds(50);

int milliseconds_until(Deadline deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 1000000000));
}

// Whether the socket is ready for `events`, or has failed, in time.
bool wait_for(const Socket& socket, short events, Deadline deadline) {
  pollfd entry{socket.fd(), events, 0};
  for (;;) {
    const int ready = poll(&entry, 1, milliseconds_until(deadline));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

void set_up(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  fcntl(fd, F_SETFD, FD_CLOEXEC);
}

long result_of(long count, bool reading) {
  if (count > 0) return count;
  if (count == 0) return reading ? -1 : 0;
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
}

Socket try_connect(const addrinfo& to, Deadline deadline) {
  Socket socket(::socket(to.ai_family, to.ai_socktype, to.ai_protocol));
  if (!socket.open()) return socket;
  set_up(socket.fd());
  if (connect(socket.fd(), to.ai_addr, to.ai_addrlen) != 0) {
    if (errno != EINPROGRESS || !wait_for(socket, POLLOUT, deadline)) return Socket();
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) return Socket();
  }
  return socket;
}

}  // namespace

void Socket::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void Socket::shut_down() const {
  if (fd_ >= 0) shutdown(fd_, SHUT_RDWR);
}

Socket listen_on(int* port) {
  Socket socket(::socket(AF_INET, SOCK_STREAM, 0));
  if (!socket.open()) fail("cannot make a socket: ", std::strerror(errno));
  const int on = 1;
  setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  address.sin_port = htons(static_cast<uint16_t>(*port));
  if (bind(socket.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(socket.fd(), SOMAXCONN) != 0) {
    fail("port ", *port, ": cannot listen: ", std::strerror(errno), "; set SIXTEEN_PORT to a free port, the same for all ranks");
  }
  set_up(socket.fd());
  socklen_t size = sizeof address;
  getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&address), &size);
  *port = ntohs(address.sin_port);
  return socket;
}

Socket accept_one(const Socket& listener, Deadline deadline) {
  while (wait_for(listener, POLLIN, deadline)) {
    const int fd = accept(listener.fd(), nullptr, nullptr);
    if (fd < 0) continue;
    set_up(fd);
    return Socket(fd);
  }
  return Socket();
}

Socket connect_to(const std::string& address, int port, Deadline deadline) {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) fail(address, ": cannot find this host: ", gai_strerror(error), "; set MASTER_ADDR to the host of rank 0");
  Socket socket;
  while (!socket.open()) {
    for (const addrinfo* to = found; to != nullptr && !socket.open(); to = to->ai_next) socket = try_connect(*to, deadline);
    if (std::chrono::steady_clock::now() + kRetry >= deadline) break;
    if (!socket.open()) std::this_thread::sleep_for(kRetry);
  }
  freeaddrinfo(found);
  return socket;
}

std::string peer_address(const Socket& socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  char text[INET_ADDRSTRLEN] = "";
  if (getpeername(socket.fd(), reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
  }
  return text;
}

long send_some(const Socket& socket, const void* data, size_t bytes) {
  return result_of(send(socket.fd(), data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT), false);
}

long receive_some(const Socket& socket, void* data, size_t bytes) {
  return result_of(recv(socket.fd(), data, bytes, MSG_DONTWAIT), true);
}

bool send_all(const Socket& socket, const void* data, size_t bytes, Deadline deadline) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const long count = wait_for(socket, POLLOUT, deadline) ? send_some(socket, from, bytes) : -1;
    if (count < 0) return false;
    from += count;
    bytes -= static_cast<size_t>(count);
  }
  return true;
}

bool receive_all(const Socket& socket, void* data, size_t bytes, Deadline deadline) {
  char* to = static_cast<char*>(data);
  while (bytes > 0) {
    const long count = wait_for(socket, POLLIN, deadline) ? receive_some(socket, to, bytes) : -1;
    if (count < 0) return false;
    to += count;
    bytes -= static_cast<size_t>(count);
  }
  return true;
}

}  // namespace sixteen
