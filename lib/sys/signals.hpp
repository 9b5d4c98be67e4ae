// Names of signals and of their causes.
#pragma once

#include <string>
#include <string_view>

namespace outlive::detail {

// "SIGSEGV"; "signal 42" if it has no name.
[[nodiscard]] std::string signal_name(int number);

// The meaning of si_code with this signal; empty if there is nothing to say.
[[nodiscard]] std::string_view signal_code_text(int number, int code) noexcept;

// Whether si_addr is an address, possibly 0: only with a fault whose address the processor reports.
[[nodiscard]] bool has_fault_address(int number, int code) noexcept;

}  // namespace outlive::detail
