#include "prefork/http.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <system_error>

namespace prefork {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::chrono::seconds patience(2);
constexpr std::size_t longest_request = 8192;

void check(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
}

// A browser opens connections in advance, and a client may stop in the middle: neither may keep a
// worker for long.
bool wait_for(int fd, short events, clock::time_point until) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count();
    if (left <= 0) return false;
    pollfd ready{fd, events, 0};
    const int found = ::poll(&ready, 1, static_cast<int>(left));
    if (found > 0) return true;
    if (found < 0 && errno != EINTR) return false;
  }
}

}  // namespace

int listen_on(unsigned short port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  check(listener, "socket");
  const int yes = 1;
  check(::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), "SO_REUSEADDR");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  check(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  check(::listen(listener, SOMAXCONN), "listen");
  return listener;
}

unsigned short port_of(int listener) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  check(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  return ntohs(address.sin_port);
}

connection::connection(int listener)
    : fd_(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)) {}

connection::~connection() {
  if (fd_ >= 0) ::close(fd_);
}

std::optional<std::string> connection::read_target() const {
  const auto until = clock::now() + patience;
  std::string request;
  while (request.find("\r\n\r\n") == std::string::npos) {
    char bytes[1024];
    if (request.size() > longest_request || !wait_for(fd_, POLLIN, until)) return std::nullopt;
    const ssize_t size = ::recv(fd_, bytes, sizeof bytes, 0);
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) return std::nullopt;
    if (size > 0) request.append(bytes, static_cast<std::size_t>(size));
  }
  constexpr std::string_view method = "GET ";
  const auto end = request.find(' ', method.size());
  if (!request.starts_with(method) || end == std::string::npos) return std::nullopt;
  return request.substr(method.size(), end - method.size());
}

bool connection::send_all(std::string_view bytes) const {
  const auto until = clock::now() + patience;
  while (!bytes.empty()) {
    if (!wait_for(fd_, POLLOUT, until)) return false;
    const ssize_t size = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (size > 0) bytes.remove_prefix(static_cast<std::size_t>(size));
  }
  return true;
}

// With the length of the body: so the client notices when it gets less.
void connection::answer(std::string_view status, std::string_view type, std::string_view body,
                        const std::function<void()>& half_sent) const {
  std::string bytes = "HTTP/1.1 ";
  bytes.append(status).append("\r\nContent-Type: ").append(type);
  bytes.append("\r\nContent-Length: ").append(std::to_string(body.size()));
  bytes.append("\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n").append(body);
  const std::string_view all = bytes;
  const std::size_t half = all.size() - body.size() / 2;
  if (!send_all(all.substr(0, half))) return;
  half_sent();
  static_cast<void>(send_all(all.substr(half)));
}

std::optional<long> number_in(std::string_view target, std::string_view key) {
  std::string_view rest = target;
  while (!rest.empty()) {
    const auto begin = rest.find_first_of("?&");
    if (begin == std::string_view::npos) break;
    rest.remove_prefix(begin + 1);
    if (!rest.starts_with(key) || !rest.substr(key.size()).starts_with('=')) continue;
    const std::string_view digits = rest.substr(key.size() + 1);
    const std::string_view value = digits.substr(0, digits.find('&'));
    long number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error == std::errc() && end == value.data() + value.size()) return number;
    break;
  }
  return std::nullopt;
}

}  // namespace prefork
