// Condition variables, queues and permits.
#include <array>

#include "fuzz/acts.hpp"

namespace outlive::fuzz {

void add_companion_acts(act_table& made) {
  made["wait"] = [](visitor& on) {
    with<robust_condition_variable>(on, "ready", [&](robust_condition_variable& found) {
      with<account>(on, "free", [&](account& of) {
        if (auto hold = of.try_lock_for(patience))
          static_cast<void>(found.wait_for(hold, patience, [] { return false; }));
      });
    });
  };
  made["notify"] = [](visitor& on) {
    with<robust_condition_variable>(on, "ready", [](robust_condition_variable& found) {
      found.notify_one();
      found.notify_all();
    });
  };
  made["push"] = [](visitor& on) {
    with<jobs>(on, "jobs", [](jobs& found) {
      static_cast<void>(found.try_push_for({7, "new"}, patience));
    });
  };
  made["pop"] = [](visitor& on) {
    with<jobs>(on, "jobs", [](jobs& found) {
      if (auto got = found.try_pop_for(patience)) {
        static_cast<void>(got.died_on_it());
        static_cast<void>(got->number + got.tries());
        got.done();
      }
    });
  };
  made["push many"] = [](visitor& on) {
    with<jobs>(on, "jobs", [](jobs& found) {
      const std::array<job, 2> two{job{7, "new"}, job{8, "newer"}};
      static_cast<void>(found.try_push_many_for(two, patience));
    });
  };
  made["pop many"] = [](visitor& on) {
    with<jobs>(on, "jobs", [](jobs& found) {
      for (auto& got : found.try_pop_many_for(3, patience)) got.done();
    });
  };
  made["give back for later"] = [](visitor& on) {
    with<jobs>(on, "jobs", [](jobs& found) {
      if (auto got = found.try_pop()) got.give_back(patience);
      static_cast<void>(found.try_pop_for(patience));
    });
  };
  made["pop and give back"] = [](visitor& on) {
    with<jobs>(on, "jobs", [](jobs& found) { static_cast<void>(found.try_pop()); });
  };
  made["pop and keep"] = [](visitor& on) {
    with<jobs>(on, "jobs", [&](jobs& found) { on.leases.push_back(found.try_pop()); });
  };
  made["pop and hand over"] = [](visitor& on) {
    with<jobs>(on, "jobs", [](jobs& found) {
      auto got = found.try_pop();
      if (!got) return;
      auto handed = got.hand_over();
      if (auto taken = handed.take()) taken.done();
    });
  };
  made["dead letter"] = [](visitor& on) {
    with<jobs>(on, "jobs", [](jobs& found) {
      if (auto got = found.pop_dead_letter()) {
        static_cast<void>(got.died_on_it());
        got.retry();
      }
    });
  };
  made["lease with a limit"] = [](visitor& on) {
    with<jobs>(on, "limited", [&](jobs& found) {
      static_cast<void>(found.try_push({7, "new"}));
      auto got = found.try_pop_for(patience);
      if (!got) return;
      static_cast<void>(got->number + got.tries());
      static_cast<void>(got.expired_on_it());
      got.extend();
      auto handed = got.hand_over();
      if (auto taken = handed.take()) taken.done();
      on.leases.push_back(found.try_pop());
    });
  };
  made["lease that is over"] = [](visitor& on) {
    with<jobs>(on, "limited", [](jobs& found) {
      auto late = found.try_pop();
      if (!late) return;
      late.extend(0ns);
      if (auto again = found.try_pop_for(patience)) again.give_back(patience);
      if (auto letter = found.pop_dead_letter()) letter.retry();
      static_cast<void>(late.expired());
      static_cast<void>(late->number);
      static_cast<void>(found.counts());
    });
  };
  made["count jobs"] = [](visitor& on) {
    with<jobs>(on, "jobs", [](jobs& found) { static_cast<void>(found.counts()); });
  };
  made["permit"] = [](visitor& on) {
    with<permits>(on, "permits",
                  [](permits& found) { static_cast<void>(found.try_acquire_for(patience)); });
  };
  made["permit and keep"] = [](visitor& on) {
    with<permits>(on, "permits",
                  [&](permits& found) { on.held_permits.push_back(found.try_acquire()); });
  };
  made["permit and hand over"] = [](visitor& on) {
    with<permits>(on, "permits", [](permits& found) {
      auto got = found.try_acquire();
      if (!got) return;
      auto handed = got.hand_over();
      static_cast<void>(handed.take());
    });
  };
  made["several permits"] = [](visitor& on) {
    with<permits>(on, "permits", [](permits& found) {
      static_cast<void>(found.try_acquire_many_for(2, patience));
    });
  };
  made["count permits"] = [](visitor& on) {
    with<permits>(on, "permits",
                  [](permits& found) { static_cast<void>(found.count() + found.size()); });
  };
}

}  // namespace outlive::fuzz
