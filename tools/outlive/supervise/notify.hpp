// Messages to the service manager, as sd_notify(3) describes them: one datagram to the socket that
// NOTIFY_SOCKET names.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace supervise {

class service_manager {
 public:
  service_manager();
  // "READY=1". Does nothing if there is no service manager, or if it does not listen.
  void notify(std::string_view message) const noexcept;
  // How often it expects "WATCHDOG=1"; nothing: never.
  [[nodiscard]] std::optional<std::chrono::microseconds> watchdog() const noexcept {
    return watchdog_;
  }

 private:
  std::string socket_;
  std::optional<std::chrono::microseconds> watchdog_;
};

}  // namespace supervise
