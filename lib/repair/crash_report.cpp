#include <outlive/crash_report.hpp>

#include <cstdio>

#include "sys/signals.hpp"

namespace outlive {

std::string to_string(const crash_report& crash) {
  std::string text = detail::signal_name(crash.signal);
  const std::string_view meaning = detail::signal_code_text(crash.signal, crash.code);
  if (!meaning.empty()) text += " (" + std::string(meaning) + ")";
  // Of a signal that a process sent, the kernel tells the sender where the address would stand.
  if (crash.code > 0 && crash.address != 0) {
    char number[32];
    std::snprintf(number, sizeof number, " at 0x%llx", static_cast<unsigned long long>(crash.address));
    text += number;
  }
  if (crash.nested) text += ", and crashed again while that was recorded";
  return text;
}

}  // namespace outlive
