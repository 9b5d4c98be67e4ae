// repairs_plugin: a shared library with the repairs of a program, so that the `outlive` tool can
// repair what no living process would.
//
//   #include <outlive/repairs_plugin.hpp>
//
//   void outlive_register_repairs(outlive::repairs_plugin& plugin) {
//     plugin.repairs.push_back(outlive::on_owner_death<account>(plugin.where, "account", mend));
//     plugin.on_reset<account>("account", start_anew);   // for `outlive reset`; may be left out
//   }
//
// Built as a shared library that links liboutlive, and given to `outlive recover`, `reset` and
// `supervise` as --repairs FILE.so. The program itself can be built from the same source, and call
// the same function.
//
// The function must be there by this name, and with C linkage, which this header declares. The tool
// calls it once for the segment, before it repairs anything, in its first thread. What it throws
// ends the command. The library stays loaded until the tool's end.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <string>
#include <utility>
#include <vector>

#include <outlive/export.hpp>
#include <outlive/guarded.hpp>
#include <outlive/repair.hpp>
#include <outlive/robust_mutex.hpp>
#include <outlive/segment.hpp>

namespace outlive {

// Goes up with each change of the struct below; the tool refuses a library that was built with
// another one.
inline constexpr unsigned repairs_plugin_version = 1;

struct repairs_plugin {
  // How `outlive reset` makes the data of a lock class anew, where no repair mends it.
  struct rebuild {
    std::string lock_class;
    repair_callback run;
  };

  segment& where;
  std::vector<repair_registration> repairs;  // kept for as long as the tool works on the segment
  std::vector<rebuild> rebuilds;

  // Adds the rebuild of a class of guarded<T, Mutex>: callback(T& value, const owner_death&).
  // Requires: the class guards a T, which a repair of it that was registered for T has checked.
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

// Including this header is what defines it.
[[gnu::used, gnu::visibility("default")]] inline constexpr unsigned outlive_repairs_version =
    outlive::repairs_plugin_version;

// To be defined by the library.
OUTLIVE_API void outlive_register_repairs(outlive::repairs_plugin& plugin);
}
