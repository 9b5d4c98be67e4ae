// repairs_plugin: a shared library with the repairs of a program, so that the `outlive` tool can
// repair what no living process would.
//
//   #include <outlive/repairs_plugin.hpp>
//
//   void outlive_register_repairs(outlive::repairs_plugin& plugin) {
//     plugin.repairs.push_back(outlive::on_owner_death<account>(plugin.where, "account", mend));
//     plugin.on_reset<account>("account", rebuild);  // for `outlive reset`; may be left out
//   }
//
// Build it as a shared library that links liboutlive, and pass it to `outlive recover`, `reset` and
// `supervise` as --repairs FILE.so. The program itself can be built from the same source and call
// the same function.
//
// The function must have this name and C linkage, which this header declares. The tool calls it
// once for the segment, in its first thread, before it repairs anything. If it throws, the command
// ends. The library stays loaded until the tool ends.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <string>
#include <utility>
#include <vector>

#include <outlive/detail/export.hpp>
#include <outlive/guarded.hpp>
#include <outlive/repair.hpp>
#include <outlive/robust_mutex.hpp>
#include <outlive/segment.hpp>

namespace outlive {

// Increases with each change of the struct below. The tool refuses a library that was built with
// another value.
inline constexpr unsigned repairs_plugin_version = 1;

struct repairs_plugin {
  // How `outlive reset` rebuilds the data of a lock class that no repair mends.
  struct rebuild {
    std::string lock_class;
    repair_callback run;
  };

  segment& where;
  std::vector<repair_registration> repairs;  // kept while the tool works on the segment
  std::vector<rebuild> rebuilds;

  // Adds the rebuild of a class of guarded<T, Mutex>: callback(T& value, const owner_death&).
  // Requires: the class guards a T. A repair that was registered for T has checked that.
  template <class T, class Mutex = robust_mutex, class Callback>
  void on_reset(std::string lock_class, Callback callback) {
    rebuilds.push_back(
        {std::move(lock_class),
         [callback = std::move(callback)](const owner_death& death) mutable -> repair_result {
           auto* const object = reinterpret_cast<char*>(const_cast<robust_mutex*>(&death.mutex()));
           return callback(*reinterpret_cast<T*>(object + guarded<T, Mutex>::value_offset()),
                           death);
         }});
  }
};

}  // namespace outlive

extern "C" {

// Including this header defines it.
[[gnu::used, gnu::visibility("default")]] inline constexpr unsigned outlive_repairs_version =
    outlive::repairs_plugin_version;

// The library defines this.
OUTLIVE_API void outlive_register_repairs(outlive::repairs_plugin& plugin);
}
