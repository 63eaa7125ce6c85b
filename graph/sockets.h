// TCP for a handful of peers: owned descriptors, listening, connecting, and reads and writes that give up at a deadline.
//
// Bites: all sockets are non-blocking and close on exec; a peer that is gone is a false return, never SIGPIPE.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>

namespace sixteen {

using Deadline = std::chrono::steady_clock::time_point;
inline Deadline seconds_from_now(double seconds) {
  return std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::duration<double>(seconds));
}

class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {}
  ~Socket() { close(); }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void close();
  void shut_down() const;  // wakes whoever polls it; callable from another thread

 private:
  int fd_;
};

// Listens on all addresses; port 0: any, written to *port. Throws Error with the port when it is taken.
Socket listen_on(int* port);
// A closed socket when nobody connected in time.
Socket accept_one(const Socket& listener, Deadline deadline);
// Tries again until the deadline, because the other side may not have started; then a closed socket.
// Throws Error when the name cannot be resolved.
Socket connect_to(const std::string& address, int port, Deadline deadline);
std::string peer_address(const Socket& socket);  // "10.0.0.7"

// All bytes, or false: closed by the peer, or not in time.
bool send_all(const Socket& socket, const void* data, size_t bytes, Deadline deadline);
bool receive_all(const Socket& socket, void* data, size_t bytes, Deadline deadline);

// What is possible at once; 0: nothing now, -1: the peer is gone.
long send_some(const Socket& socket, const void* data, size_t bytes);
long receive_some(const Socket& socket, void* data, size_t bytes);

}  // namespace sixteen
