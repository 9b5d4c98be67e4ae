// Recovery, and looks at the whole.
#include <memory>
#include <system_error>
#include <thread>

#include <outlive/segment_view.hpp>
#include <outlive/supervisor.hpp>

#include "fuzz/acts.hpp"
#include "fuzz/operations.hpp"

namespace outlive::fuzz {

namespace {

void register_repairs(visitor& on) {
  on.registrations.push_back(
      on_owner_death<pair>(on.seg, "account", [&on](pair& value, const owner_death& death) {
        on.check_account(value);
        static_cast<void>(death.mutex_name());
        static_cast<void>(to_string(death.owner()));
        for (std::size_t i = 0; i < death.held_count(); ++i)
          static_cast<void>(death.held(i).acquired_at.module.size());
        if (death.crash() != nullptr) static_cast<void>(to_report(*death.crash()));
        value = {};
        return repaired;
      }));
  on.registrations.push_back(
      on_owner_death(on.seg, "shelf", [](const owner_death&) { return repaired; }));
  on.registrations.push_back(on_owner_death<pair, robust_shared_mutex>(
      on.seg, "prices", [](pair&, const owner_death&) { return repaired; }));
  on.registrations.push_back(on_owner_death(on.seg, "table", always_consistent));
}

void supervise(visitor& on) {
  supervisor watcher(on.seg);
  watcher.on_death([](const participant_death& death) { static_cast<void>(to_string(death)); });
  watcher.on_error([](const std::system_error&) {});
  watcher.on_hung(1ms, [](const hung_owner& owner) { static_cast<void>(to_string(owner)); });
  watcher.on_deadlock([](const deadlock& found) { static_cast<void>(to_string(found)); });
  watcher.dispatch();
}

void view_all(const segment_view& view) {
  for (const viewed_thread& each : view.threads()) {
    for (const held_lock& hold : each.in_hand) static_cast<void>(view.lock_at(hold.mutex_offset));
  }
  static_cast<void>(view.locks());
  static_cast<void>(view.objects());
  static_cast<void>(view.queues());
  static_cast<void>(view.permit_pools());
  static_cast<void>(view.participants());
  static_cast<void>(view.deaths());
  static_cast<void>(view.object_count());
  static_cast<void>(view.death_count());
  static_cast<void>(view.has_name());
}

void use_in_thread(visitor& on) {
  std::string caught;
  std::thread([&] {
    try {
      lock_account(on, "free");
    } catch (const std::system_error& error) {
      if (error.code().category() != error_category()) caught = error.what();
    }
  }).join();
  if (!caught.empty()) throw wrong{"a thread met " + caught};
}

}  // namespace

void add_looks(act_table& made) {
  made["recover"] = [](visitor& on) { static_cast<void>(recover(on.seg)); };
  made["recover self"] = [](visitor& on) { static_cast<void>(recover(on.seg, ::getpid())); };
  made["note"] = [](visitor& on) { note(on.seg, 99); };
  made["threads in use"] = [](visitor& on) { static_cast<void>(on.seg.threads_in_use()); };
  made["death log"] = [](visitor& on) { static_cast<void>(death_log(on.seg)); };
  made["register"] = register_repairs;
  made["unregister"] = [](visitor& on) { on.registrations.clear(); };
  made["view"] = [](visitor& on) { view_all(segment_view(on.seg)); };
  made["problems"] = [](visitor& on) {
    for (const auto& each : segment_view(on.seg).problems()) static_cast<void>(to_string(each));
  };
  made["supervise"] = supervise;
  made["thread"] = use_in_thread;
}

}  // namespace outlive::fuzz
