// The directory.
#include "fuzz/acts.hpp"

namespace outlive::fuzz {

namespace {

void make_many(visitor& on) {
  for (int i = 0; i < 70; ++i) on.seg.find_or_construct<bytes>("many " + std::to_string(i), bytes{});
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
  made["construct"] = [](visitor& on) { on.seg.find_or_construct<int>("new " + std::to_string(on.made++), 77); };
  made["construct account"] = [](visitor& on) { on.accounts.push_back(&on.seg.find_or_construct<account>("new account", "account").mutex()); };
  made["construct class"] = [](visitor& on) { on.seg.find_or_construct<robust_mutex>("new mutex", "new class " + std::to_string(on.made++)); };
  made["construct array"] = [](visitor& on) { on.seg.find_or_construct<bytes>("new array", bytes{}); };
  made["construct queue"] = [](visitor& on) { on.seg.find_or_construct<jobs>("new jobs"); };
  made["construct many"] = make_many;
  made["destroy answer"] = [](visitor& on) { on.seg.destroy<int>("answer"); };
  made["destroy new"] = [](visitor& on) { on.seg.destroy<int>("new 0"); };
  made["destroy array"] = [](visitor& on) { on.seg.destroy<bytes>("seventeen bytes.."); };
  made["destroy account"] = [](visitor& on) { on.seg.destroy<account>("free"); };
  made["destroy held"] = [](visitor& on) { on.seg.destroy<account>("held"); };
  made["destroy shelf"] = [](visitor& on) { on.seg.destroy<robust_mutex>("shelf"); };
  made["for each"] = [](visitor& on) {
    on.seg.for_each([](const segment::object_info& each) { static_cast<void>(std::string(each.name).append(each.type)); });
  };
}

}  // namespace outlive::fuzz
