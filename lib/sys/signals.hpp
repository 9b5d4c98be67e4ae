// Names of signals and of what they were sent for.
#pragma once

#include <string>
#include <string_view>

namespace outlive::detail {

// "SIGSEGV"; "signal 42" for one that has no name.
[[nodiscard]] std::string signal_name(int number);

// What si_code means with this signal, in words; empty where nothing is to be said.
[[nodiscard]] std::string_view signal_code_text(int number, int code) noexcept;

// Whether si_addr tells an address, which may well be 0: with a fault that the processor tells the
// address of.
[[nodiscard]] bool has_fault_address(int number, int code) noexcept;

}  // namespace outlive::detail
