// A plug-in into which the static library is linked: it is unloaded while a thread lives that has
// used it.
#include <outlive/outlive.hpp>

extern "C" int use_outlive() {
  static auto& seg = *new outlive::segment(outlive::segment::anonymous());
  static auto& repair = *new outlive::repair_registration(
      outlive::on_owner_death<long>(seg, "class", outlive::always_consistent));
  static_cast<void>(repair);
  auto& number = seg.find_or_construct<outlive::guarded<long>>("number", "class");
  return static_cast<int>(*number.lock() += 1);
}
