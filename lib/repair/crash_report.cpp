#include <outlive/crash_report.hpp>

#include "sys/hex.hpp"
#include "sys/signals.hpp"

namespace outlive {

void name_functions(crash_report& crash) {
  for (std::size_t i = 0; i < crash.frames.size(); ++i) name_function(crash.frames[i], i != 0);
}

std::string to_string(const crash_report& crash) {
  std::string text = detail::signal_name(crash.signal);
  const std::string_view meaning = detail::signal_code_text(crash.signal, crash.code);
  if (!meaning.empty()) text += " (" + std::string(meaning) + ")";
  // If a process sent the signal, the kernel puts the sender where the address would be.
  if (detail::has_fault_address(crash.signal, crash.code))
    text += " at " + detail::hex(crash.address);
  if (crash.nested) text += ", and crashed again while that was recorded";
  return text;
}

}  // namespace outlive
