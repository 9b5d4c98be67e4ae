// What `outlive doctor` checks. No check changes the machine.
#pragma once

#include <string>
#include <vector>

namespace doctor {

enum class severity { ok, warn, fail };

struct finding {
  std::string check;
  severity level = severity::ok;
  std::string found;
  std::string meaning;  // for users of the library here
};

[[nodiscard]] finding kernel();
[[nodiscard]] finding c_library();
[[nodiscard]] finding robust_list();
// A child takes a mutex of an anonymous segment and is killed; the next locker must be its heir.
[[nodiscard]] finding killed_holder();
[[nodiscard]] finding shared_memory_space();
[[nodiscard]] finding tracing();
[[nodiscard]] finding core_dumps();
[[nodiscard]] finding process_visibility();
[[nodiscard]] finding pid_namespace();
[[nodiscard]] finding freezer();
// logind removes what a user has in /dev/shm when the user's last session ends.
[[nodiscard]] finding remove_ipc();

[[nodiscard]] std::vector<finding> all_findings();

}  // namespace doctor
