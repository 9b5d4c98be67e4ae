#include "supervise/notify.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>

#include "arguments.hpp"

namespace supervise {

namespace {

std::string_view environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

service_manager::service_manager() : socket_(environment("NOTIFY_SOCKET")) {
  const auto period = parse_number<long>(environment("WATCHDOG_USEC")).value_or(0);
  const auto pid = environment("WATCHDOG_PID");
  // The variables are inherited: the pid says which process they are for.
  if (period > 0 && (pid.empty() || parse_number<pid_t>(pid) == ::getpid()))
    watchdog_ = std::chrono::microseconds(period);
  // The workers must not inherit them: they would speak in our name.
  for (const char* const name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
    ::unsetenv(name);
}

void service_manager::notify(std::string_view message) const noexcept {
  sockaddr_un to{};
  if (socket_.size() < 2 || socket_.size() >= sizeof to.sun_path ||
      (socket_[0] != '/' && socket_[0] != '@'))
    return;
  to.sun_family = AF_UNIX;
  std::copy(socket_.begin(), socket_.end(), to.sun_path);
  if (to.sun_path[0] == '@') to.sun_path[0] = 0;  // an abstract name
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  static_cast<void>(::sendto(fd, message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                             reinterpret_cast<const sockaddr*>(&to), size));
  ::close(fd);
}

}  // namespace supervise
