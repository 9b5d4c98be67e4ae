#include <outlive/supervisor.hpp>

#include <algorithm>
#include <utility>

#include "supervise/supervision.hpp"

namespace outlive {

namespace {

std::string how_it_ended(const participant_death& death) {
  if (death.tid != 0) return "ended without giving its record back";
  if (death.signal) return "was killed by signal " + std::to_string(*death.signal) + (death.core_dumped ? " (core dumped)" : "");
  if (death.exit_code) return "exited with code " + std::to_string(*death.exit_code);
  return "has ended";
}

}  // namespace

std::string to_string(const participant_death& death) {
  const auto good = std::count_if(death.recovered.begin(), death.recovered.end(), [](const recovered_mutex& each) {
    return each.outcome == recovery_outcome::repaired || each.outcome == recovery_outcome::nothing_to_repair;
  });
  const auto all = static_cast<std::ptrdiff_t>(death.recovered.size());
  std::string text = "pid " + std::to_string(death.pid) + " (" + death.command_name + ')';
  if (death.tid != 0) text += " tid " + std::to_string(death.tid);
  text += ' ' + how_it_ended(death);
  if (all == 0) return text + ": it held nothing";
  return text + ": " + std::to_string(good) + (good == 1 ? " mutex recovered, " : " mutexes recovered, ") + std::to_string(all - good) + " not";
}

supervisor::supervisor(const segment& where, const supervisor_options& options) : impl_(std::make_unique<detail::supervision>(where, options)) {}
supervisor::supervisor(supervisor&&) noexcept = default;
supervisor& supervisor::operator=(supervisor&&) noexcept = default;
supervisor::~supervisor() = default;

void supervisor::on_death(std::function<void(const participant_death&)> callback) {
  impl_->on_death = std::move(callback);
}

void supervisor::on_error(std::function<void(const std::system_error&)> callback) {
  impl_->on_error = std::move(callback);
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
