// Processes that see other ids, or no other processes at all.
//
// Both functions are for the body of a child: they change the calling process for good.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "support/child.hpp"

namespace outlive::testing {

/// Why no new PID namespace is available here; nothing if one is.
std::optional<std::string> pid_namespace_unavailable();
/// Why /proc cannot be mounted with hidepid=2 here.
std::optional<std::string> hidepid_unavailable();

/// Runs `body` as the second process of a new PID namespace and ends as it ended (same exit code or
/// signal). The first process only waits: nothing inside the namespace can kill it, not even
/// itself.
[[noreturn]] void run_in_pid_namespace(agent& parent, const std::function<void()>& body);

/// Runs `body` as the first process of a new PID namespace with a /proc of its own, as the program
/// of a container runs, and ends with its exit code.
[[noreturn]] void run_as_process_1(agent& parent, const std::function<void()>& body);

/// Gives the calling process a /dev/shm of its own, with these tmpfs options. Returns: why it
/// cannot.
std::optional<std::string> mount_own_shm(const char* mount_options);

/// From now on the process is this user and sees, in a mount namespace of its own, no other user's
/// processes in /proc.
void hide_processes_of_others(uid_t become);

}  // namespace outlive::testing
