// As much of HTTP as one page needs: a request without a body, an answer, the end of the
// connection.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace prefork {

// Returns: a socket that listens on this port of 127.0.0.1, and does not block.
// Port 0: any that is free. Throws std::system_error.
int listen_on(unsigned short port);
unsigned short port_of(int listener);

// A connection, closed at its end.
class connection {
 public:
  // Accepts one. It is empty if another worker was faster.
  explicit connection(int listener);
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection();

  explicit operator bool() const noexcept { return fd_ >= 0; }
  // Returns: the target of a GET request, as "/hit?visitor=1"; nothing if none came, or another.
  // Blocks: for at most two seconds.
  [[nodiscard]] std::optional<std::string> read_target() const;
  // Sends an answer. Between its halves it calls `half_sent`.
  // Blocks: for a client that does not read, at most two seconds.
  void answer(std::string_view status, std::string_view type, std::string_view body,
              const std::function<void()>& half_sent) const;

 private:
  bool send_all(std::string_view bytes) const;
  int fd_;
};

// Returns: the number that a target such as "/hit?visitor=1&visit=2" has for "visit"; nothing if it
// has none.
std::optional<long> number_in(std::string_view target, std::string_view key);

}  // namespace prefork
