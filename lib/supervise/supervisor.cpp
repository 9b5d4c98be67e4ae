#include <outlive/supervisor.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

#include "supervise/supervision.hpp"

namespace outlive {

supervisor::supervisor(const segment& seg, const supervisor_options& options)
    : impl_(std::make_unique<detail::supervision>(seg, options)) {}
supervisor::supervisor(supervisor&&) noexcept = default;
supervisor& supervisor::operator=(supervisor&&) noexcept = default;
supervisor::~supervisor() = default;

void supervisor::on_death(std::function<void(const participant_death&)> callback) {
  impl_->on_death = std::move(callback);
}

void supervisor::on_error(std::function<void(const std::system_error&)> callback) {
  impl_->on_error = std::move(callback);
}

void supervisor::on_name_lost(std::function<void(const lost_name&)> callback) {
  impl_->on_name_lost = std::move(callback);
}

void supervisor::on_hung(std::chrono::milliseconds threshold,
                         std::function<void(const hung_owner&)> callback) {
  if (threshold.count() <= 0) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            "on_hung: found a threshold of " + std::to_string(threshold.count()) +
                                " ms, expected a positive one");
  }
  // A longer one counts as the longest that there is: in nanoseconds it would overflow.
  impl_->hung_threshold = std::min(
      threshold, std::chrono::floor<std::chrono::milliseconds>(std::chrono::nanoseconds::max()));
  impl_->on_hung = std::move(callback);
}

void supervisor::on_deadlock(std::function<void(const deadlock&)> callback) {
  impl_->on_deadlock = std::move(callback);
}

std::optional<participant_death> supervisor::kill_and_recover(const hung_owner& holder) {
  return impl_->kill_and_recover(holder);
}

void supervisor::add_child(pid_t pid) {
  impl_->add_child(pid);
}

int supervisor::fd() const noexcept {
  return impl_->fd();
}

void supervisor::dispatch() {
  impl_->dispatch();
}

void supervisor::run(const std::stop_token& stop) {
  impl_->run(stop);
}

std::size_t supervisor::watched() const noexcept {
  return impl_->watched();
}

}  // namespace outlive
