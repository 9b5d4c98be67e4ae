#include "torture/check.hpp"

#include <csignal>

#include <fmt/format.h>

namespace torture {

user_check::~user_check() {
  if (pid_ == 0) return;
  kill(-pid_, SIGKILL);
  static_cast<void>(reap(pid_));
}

void user_check::start() {
  pid_ = ::start({"/bin/sh", "-c", wanted_.check}, {});
  limit_ = std::chrono::steady_clock::now() + wanted_.check_limit;
}

bool user_check::fetch_end(const signals& incoming) {
  if (pid_ == 0) return false;
  std::string failure;
  if (!has_ended(pid_)) {
    if (incoming.ending() != 0) {
      failure = "interrupted";
    } else if (std::chrono::steady_clock::now() >= limit_) {
      failure = fmt::format("still running after {:g} s",
                            std::chrono::duration<double>(wanted_.check_limit).count());
    } else {
      return false;
    }
    kill(-pid_, SIGKILL);
  }
  const int status = reap(pid_);
  pid_ = 0;
  if (failure.empty()) failure = status == 0 ? passed : status_text(status);
  result_ = failure;
  return true;
}

void user_check::run(signals& incoming) {
  start();
  while (!fetch_end(incoming)) incoming.wait(std::chrono::milliseconds(50));
}

}  // namespace torture
