// The directory.
#include "fuzz/acts.hpp"

namespace outlive::fuzz {

namespace {

template <class T, class... Args>
void make(visitor& on, const std::string& name, Args&&... args) {
  const bool there = on.seg.find<T>(name) != nullptr;
  T& made = on.seg.find_or_construct<T>(name, std::forward<Args>(args)...);
  if (!there) on.check_fresh(&made, sizeof made);
}

template <class T>
void end(visitor& on, const char* name) {
  if (on.seg.destroy<T>(name)) on.gone.insert(name);
}

void make_many(visitor& on) {
  for (int i = 0; i < 70; ++i) make<bytes>(on, "many " + std::to_string(i), bytes{});
}

}  // namespace

void add_object_acts(act_table& made) {
  made["find"] = [](visitor& on) {
    static_cast<void>(on.seg.find<int>("answer"));
    static_cast<void>(on.seg.find<bytes>("seventeen bytes.."));
    static_cast<void>(on.seg.find<long>(long_name()));
    static_cast<void>(on.seg.find<int>("object 3"));
    static_cast<void>(on.seg.find<int>("never there"));
  };
  made["find wrong type"] = [](visitor& on) { static_cast<void>(on.seg.find<double>("answer")); };
  made["construct"] = [](visitor& on) { make<int>(on, "new " + std::to_string(on.made++), 77); };
  made["construct account"] = [](visitor& on) {
    on.accounts.push_back(&on.seg.find_or_construct<account>("new account", "account").mutex());
  };
  made["construct class"] = [](visitor& on) {
    make<robust_mutex>(on, "new mutex", "new class " + std::to_string(on.made++));
  };
  made["construct array"] = [](visitor& on) { make<bytes>(on, "new array", bytes{}); };
  made["construct queue"] = [](visitor& on) { make<jobs>(on, "new jobs"); };
  made["construct many"] = make_many;
  made["destroy answer"] = [](visitor& on) { end<int>(on, "answer"); };
  made["destroy new"] = [](visitor& on) { end<int>(on, "new 0"); };
  made["destroy array"] = [](visitor& on) { end<bytes>(on, "seventeen bytes.."); };
  made["destroy account"] = [](visitor& on) { end<account>(on, "free"); };
  made["destroy held"] = [](visitor& on) {
    end<account>(on, "held");
    if (on.gone.contains("held") && on.expected.is_held_by_bystander("held"))
      throw wrong{"held is destroyed, though a living thread has it"};
  };
  made["destroy shelf"] = [](visitor& on) { end<robust_mutex>(on, "shelf"); };
  made["for each"] = [](visitor& on) {
    on.seg.for_each([](const segment::object_info& each) {
      static_cast<void>(std::string(each.name).append(each.type));
    });
  };
}

}  // namespace outlive::fuzz
