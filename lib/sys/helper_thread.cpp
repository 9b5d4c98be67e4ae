#include "sys/helper_thread.hpp"

#include <signal.h>

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "sys/fork_epoch.hpp"
#include "sys/no_cancellation.hpp"

namespace outlive::detail {

namespace {

class all_signals_blocked {
 public:
  all_signals_blocked() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &former_);
  }
  ~all_signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &former_, nullptr); }
  all_signals_blocked(const all_signals_blocked&) = delete;
  all_signals_blocked& operator=(const all_signals_blocked&) = delete;

 private:
  sigset_t former_{};
};

}  // namespace

helper_thread::helper_thread(std::function<void(const std::stop_token&)> body)
    : epoch_(process_epoch()) {
  const all_signals_blocked here;  // the thread inherits it
  thread_ = std::make_unique<std::jthread>(
      [act = std::move(body)](const std::stop_token& stop) { act(stop); });
}

helper_thread::~helper_thread() {
  const no_cancellation here;
  if (!is_parents()) return;
  // Its join() would wait for ever. It is kept where a leak checker finds it.
  static auto& kept = *new std::vector<std::unique_ptr<std::jthread>>;
  kept.push_back(std::move(thread_));
}

bool helper_thread::is_parents() const noexcept {
  return process_epoch() != epoch_;
}

}  // namespace outlive::detail
