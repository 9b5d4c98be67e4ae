#include "supervise/log_file.hpp"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

namespace supervise {

namespace {

constexpr std::size_t most_waiting = std::size_t{1} << 20;
constexpr std::chrono::seconds until_next_try(1);
constexpr std::chrono::seconds patience_at_the_end(1);

// Writes what it can, and removes that from the text. Returns: 0, or errno.
int write_out(int fd, std::string& text) {
  while (!text.empty()) {
    const ssize_t size = ::write(fd, text.data(), text.size());
    if (size >= 0) {
      text.erase(0, static_cast<std::size_t>(size));
    } else if (errno == EAGAIN) {
      pollfd ready{fd, POLLOUT, 0};  // somebody else made it non-blocking
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

// A reader that is gone is an error of write(), and no signal.
void block_sigpipe() {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
}

}  // namespace

struct log_file::state {
  int fd = -1;
  std::string name;
  std::shared_ptr<state> messages;

  std::mutex mutex;  // protects what follows
  std::condition_variable changed;
  std::deque<std::string> waiting;
  std::size_t size = 0;     // of those, in bytes
  std::size_t lost = 0;     // texts since the last one that was put there
  std::size_t written = 0;  // texts
  bool ending = false;
  bool ended = false;

  // Requires: lost is not 0. It counts from 0 again.
  std::string notice_of_loss() {
    return fmt::format("{} lines or more are missing here: {} did not take them\n",
                       std::exchange(lost, 0), name);
  }
};

log_file::log_file(int fd, std::string name, const log_file* messages)
    : state_(std::make_shared<state>()) {
  state_->fd = fd;
  state_->name = std::move(name);
  if (messages != nullptr) state_->messages = messages->state_;
  std::thread([of = state_] { run(of); }).detach();
}

log_file::~log_file() {
  std::unique_lock lock(state_->mutex);
  state_->ending = true;
  state_->changed.notify_all();
  for (bool progress = true; progress && !state_->ended;) {
    const std::size_t before = state_->written;
    progress = state_->changed.wait_for(lock, patience_at_the_end,
                                        [&] { return state_->ended || state_->written != before; });
  }
}

void log_file::write(std::string text) const {
  put(*state_, std::move(text));
}

void log_file::put(state& to, std::string text) {
  const std::lock_guard lock(to.mutex);
  if (to.size + text.size() > most_waiting) {
    ++to.lost;
    return;
  }
  if (to.lost != 0) text.insert(0, to.notice_of_loss());
  to.size += text.size();
  to.waiting.push_back(std::move(text));
  to.changed.notify_all();
}

void log_file::run(const std::shared_ptr<state>& of) {
  block_sigpipe();
  bool works = true;
  std::string text;  // what is left of the first one
  std::unique_lock lock(of->mutex);
  for (;;) {
    if (text.empty()) {
      of->changed.wait(lock, [&] { return of->ending || !of->waiting.empty() || of->lost != 0; });
      if (!of->waiting.empty()) {
        text = std::move(of->waiting.front());
        of->waiting.pop_front();
        of->size -= text.size();
      } else if (of->lost != 0) {
        text = of->notice_of_loss();
      } else {
        break;
      }
    }
    lock.unlock();
    const int error = write_out(of->fd, text);
    if (error != 0 && works && of->messages) {
      put(*of->messages,
          fmt::format(
              "outlive supervise: {}: {}; supervision goes on, and what {} does not take is "
              "kept for it, up to 1 MiB\n",
              of->name, std::generic_category().message(error), of->name));
    }
    works = error == 0;
    lock.lock();
    if (works) ++of->written;
    if (!works && of->ending) break;
    of->changed.notify_all();
    if (!works) of->changed.wait_for(lock, until_next_try, [&] { return of->ending; });
  }
  of->ended = true;
  of->changed.notify_all();
}

}  // namespace supervise
