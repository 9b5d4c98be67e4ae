#include "torture/check.hpp"

#include <chrono>

#include <csignal>

#include <fmt/format.h>

namespace torture {

std::string check(const settings& wanted, signals& incoming) {
  const pid_t pid = start({"/bin/sh", "-c", wanted.check}, {});
  const auto limit = std::chrono::steady_clock::now() + wanted.check_limit;
  std::string failure;
  while (!has_ended(pid)) {
    if (incoming.ending() != 0) failure = "interrupted";
    if (std::chrono::steady_clock::now() >= limit) {
      failure = fmt::format("still running after {:g} s",
                            std::chrono::duration<double>(wanted.check_limit).count());
    }
    if (!failure.empty()) kill(-pid, SIGKILL);
    incoming.wait(std::chrono::milliseconds(50));
  }
  const int status = reap(pid);
  if (!failure.empty()) return failure;
  return status == 0 ? check_passed : status_text(status);
}

}  // namespace torture
