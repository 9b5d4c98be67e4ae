#include "repair/events.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "sys/no_cancellation.hpp"

namespace outlive {

namespace detail {

namespace {

struct kept_handler {
  std::function<void(const event&)> call;
  const kept_handler* former = nullptr;  // so that a leak checker finds it
};

constinit std::atomic<const kept_handler*> newest_handler{nullptr};

}  // namespace

bool has_event_handler() noexcept {
  const kept_handler* const now = newest_handler.load(std::memory_order_acquire);
  return now != nullptr && now->call;
}

void call_event_handler(const event& what) noexcept {
  const no_cancellation deferred;
  const kept_handler* const now = newest_handler.load(std::memory_order_acquire);
  if (now != nullptr && now->call) now->call(what);
}

}  // namespace detail

using namespace detail;

std::string_view to_string(event_kind kind) noexcept {
  switch (kind) {
    case event_kind::death_met: return "death met";
    case event_kind::repair_ended: return "repair ended";
  }
  return "unknown";
}

std::string to_string(const event& what) {
  const thread_identity owner = what.death.owner();
  std::string text = owner.known ? "pid " + std::to_string(owner.pid) + " tid " +
                                       std::to_string(owner.tid) + " (" + owner.command_name + ')'
                                 : "an unknown thread";
  text += " died with \"" + std::string(what.death.mutex_name()) + "\" of class \"" +
          std::string(what.death.lock_class()) + "\": " + std::string(to_string(what.outcome));
  if (what.kind == event_kind::repair_ended) {
    const auto time = std::chrono::duration_cast<std::chrono::microseconds>(what.repair_time);
    text += " after " + std::to_string(time.count()) + " us";
  }
  if (what.death.attempt() != 0) text += ", attempt " + std::to_string(what.death.attempt());
  return text;
}

void on_event(std::function<void(const event&)> handler) {
  auto made = std::make_unique<kept_handler>(kept_handler{std::move(handler), nullptr});
  made->former = newest_handler.load(std::memory_order_relaxed);
  // Release: pairs with the loads of those who call it.
  while (!newest_handler.compare_exchange_weak(made->former, made.get(), std::memory_order_release,
                                               std::memory_order_relaxed)) {
  }
  static_cast<void>(made.release());
}

}  // namespace outlive
