// helper_thread: a thread of the library's own in the user's process. All signals are blocked in
// it, so that no handler of the program runs there.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <thread>

namespace outlive::detail {

class helper_thread {
 public:
  // Throws std::system_error where no thread can be made. `body` must not throw.
  explicit helper_thread(std::function<void(const std::stop_token&)> body);
  helper_thread(const helper_thread&) = delete;
  helper_thread& operator=(const helper_thread&) = delete;
  // Requests a stop, and waits for the end. In a forked child, which has no such thread, it does
  // nothing.
  ~helper_thread();

  // Whether this is a forked child of the process that made it.
  [[nodiscard]] bool is_parents() const noexcept;

 private:
  std::uint64_t epoch_;
  std::unique_ptr<std::jthread> thread_;
};

}  // namespace outlive::detail
