#include "support/channel.hpp"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <system_error>

namespace outlive::testing {
namespace {

constexpr std::size_t header_size = 1 + sizeof(std::uint16_t);

}  // namespace

unique_fd& unique_fd::operator=(unique_fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

int unique_fd::release() {
  const int fd = fd_;
  fd_ = -1;
  return fd;
}

void unique_fd::reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

message_pipe::message_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe2");
  read_ = unique_fd(ends[0]);
  write_ = unique_fd(ends[1]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
}

bool message_pipe::send(message::kind what, std::string_view text) const {
  std::array<char, PIPE_BUF> packet;
  const auto length =
      static_cast<std::uint16_t>(std::min(text.size(), packet.size() - header_size));
  packet[0] = static_cast<char>(what);
  std::memcpy(&packet[1], &length, sizeof length);
  std::memcpy(&packet[header_size], text.data(), length);
  ssize_t written;
  do {
    written = write(write_.get(), packet.data(), header_size + length);
  } while (written < 0 && errno == EINTR);
  return written == static_cast<ssize_t>(header_size + length);
}

std::optional<message> message_pipe::receive() {
  for (;;) {
    std::uint16_t length = 0;
    if (buffer_.size() >= header_size) {
      std::memcpy(&length, &buffer_[1], sizeof length);
      if (buffer_.size() >= header_size + length) {
        message got{static_cast<message::kind>(buffer_[0]), buffer_.substr(header_size, length)};
        buffer_.erase(0, header_size + length);
        return got;
      }
    }
    std::array<char, PIPE_BUF> chunk;
    const ssize_t count = read(read_.get(), chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count == 0) at_end_ = true;
    if (count <= 0) return std::nullopt;
    buffer_.append(chunk.data(), static_cast<std::size_t>(count));
  }
}

bool token_box::take(std::string_view wanted) {
  const auto found = std::find(tokens_.begin(), tokens_.end(), wanted);
  if (found == tokens_.end()) {
    return false;
  }
  tokens_.erase(found);
  return true;
}

std::string token_box::describe() const {
  std::string out;
  for (const std::string& token : tokens_) {
    out += (out.empty() ? "arrived: '" : ", '") + token + "'";
  }
  return out.empty() ? "nothing else arrived" : out;
}

}  // namespace outlive::testing
