// What a segment belongs to: this boot of the machine, this PID namespace and this time namespace.
// /proc shows them. If it does not, that is an error of its own, never another answer.
#pragma once

#include <cstdint>
#include <string>

#include "format/layout.hpp"
#include "sys/process.hpp"

namespace outlive::detail {

struct surroundings {
  boot_id boot;
  std::uint64_t pid_namespace;
  std::uint32_t time_namespace;
};

// Those of the calling process. Throws errc::no_proc; std::system_error if no descriptor is free.
surroundings own_surroundings(const std::string& context);

// Throws as own_surroundings(), and errc::damaged for another boot.
void check_boot(const std::string& context, const segment_constants& constants);
// Throws errc::no_proc, wrong_pid_namespace.
void check_namespaces(const std::string& context, const segment_constants& constants);

}  // namespace outlive::detail
