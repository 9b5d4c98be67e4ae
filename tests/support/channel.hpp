// The two pipes between a test and its child: short messages, never half of one.
//
// A message is written by one write() of at most PIPE_BUF bytes, so a writer that is killed leaves
// the whole message or nothing, and messages of several threads do not mix.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace outlive::testing {

class unique_fd {
 public:
  unique_fd() = default;
  explicit unique_fd(int fd) : fd_(fd) {}
  unique_fd(unique_fd&& other) noexcept : fd_(other.release()) {}
  unique_fd& operator=(unique_fd&& other) noexcept;
  ~unique_fd() { reset(); }

  int get() const { return fd_; }
  int release();
  void reset();

 private:
  int fd_ = -1;
};

struct message {
  enum class kind : char { token = 't', failure = 'f' };
  kind what;
  std::string text;
};

class message_pipe {
 public:
  message_pipe();

  int read_fd() const { return read_.get(); }
  void close_read() { read_.reset(); }
  void close_write() { write_.reset(); }

  /// Cuts a text that is too long. Returns whether the message was written.
  bool send(message::kind what, std::string_view text) const;
  /// The next message that has arrived; never blocks.
  std::optional<message> receive();
  /// All writers are gone (ended, or replaced by exec) and every message was received.
  bool at_end() const { return at_end_; }

 private:
  unique_fd read_;
  unique_fd write_;
  std::string buffer_;
  bool at_end_ = false;
};

/// Tokens that have arrived and that nobody has waited for yet.
class token_box {
 public:
  void add(std::string token) { tokens_.push_back(std::move(token)); }
  bool take(std::string_view wanted);
  /// "arrived: 'locked', 'free'", "nothing else arrived".
  std::string describe() const;

 private:
  std::deque<std::string> tokens_;
};

}  // namespace outlive::testing
