// Mutexes and shared mutexes.
#include "fuzz/acts.hpp"

namespace outlive::fuzz {

void check_lock(const visitor& on, const std::string& name, const account& had) {
  if (name == "held") {
    if (on.expected.is_held_by_bystander(name))
      throw wrong{"held, which a living thread has, is had by a second one"};
  } else if (name != "free" && on.expected.needs_repair(name) && !on.repaired_ones.contains(&had)) {
    throw wrong{name + " is had, and nothing has repaired it"};
  }
}

void lock_account(visitor& on, const char* name) {
  with<account>(on, name, [&](account& found) {
    if (auto hold = found.try_lock_for(patience)) {
      check_lock(on, name, found);
      hold->a -= 1;
      hold->b += 1;
    }
  });
}

void add_lock_acts(act_table& made) {
  for (const char* name : account_names) {
    made["lock " + std::string(name)] = [name](visitor& on) { lock_account(on, name); };
    made["try_lock " + std::string(name)] = [name](visitor& on) {
      with<account>(on, name, [&](account& found) {
        if (const auto hold = found.try_lock()) check_lock(on, name, found);
      });
    };
    made["reset " + std::string(name)] = [name](visitor& on) {
      with<account>(on, name, [&](account& found) {
        static_cast<void>(reset(found, [&](pair& value, const owner_death&) {
          value = {};
          on.repaired_ones.insert(&found);
          return repaired;
        }));
      });
    };
  }
  made["lock shelf"] = [](visitor& on) {
    with<robust_mutex>(on, "shelf", [](robust_mutex& found) {
      static_cast<void>(found.lock_class());
      if (found.try_lock_for(patience)) found.unlock();
    });
  };
  made["unlock shelf"] = [](visitor& on) {
    with<robust_mutex>(on, "shelf", [](robust_mutex& found) { found.unlock(); });
  };
  made["reset shelf"] = [](visitor& on) {
    with<robust_mutex>(on, "shelf", [](robust_mutex& found) {
      static_cast<void>(reset(found, always_consistent));
    });
  };
  made["write prices"] = [](visitor& on) {
    with<prices>(on, "prices",
                 [](prices& found) { static_cast<void>(found.try_lock_for(patience)); });
  };
  made["read prices"] = [](visitor& on) {
    with<prices>(on, "prices",
                 [](prices& found) { static_cast<void>(found.try_lock_shared_for(patience)); });
  };
  made["write table"] = [](visitor& on) {
    with<robust_shared_mutex>(on, "table", [&](robust_shared_mutex& found) {
      if (!found.try_lock_for(patience)) return;
      if (on.expected.is_held_by_bystander("table"))
        throw wrong{"table has a writer beside a reader"};
      found.unlock();
    });
  };
  made["downgrade table"] = [](visitor& on) {
    with<robust_shared_mutex>(on, "table", [&](robust_shared_mutex& found) {
      if (!found.try_lock_for(patience)) return;
      found.downgrade();
      found.unlock_shared();
    });
  };
  made["read table"] = [](visitor& on) {
    with<robust_shared_mutex>(on, "table", [](robust_shared_mutex& found) {
      if (!found.try_lock_shared_for(patience)) return;
      const bool again = found.try_lock_shared();
      found.unlock_shared();
      if (again) found.unlock_shared();
    });
  };
  made["unlock_shared table"] = [](visitor& on) {
    with<robust_shared_mutex>(on, "table",
                              [](robust_shared_mutex& found) { found.unlock_shared(); });
  };
  made["reset prices"] = [](visitor& on) {
    with<prices>(on, "prices", [](prices& found) {
      static_cast<void>(reset(found, [](pair&, const owner_death&) { return repaired; }));
    });
  };
}

}  // namespace outlive::fuzz
