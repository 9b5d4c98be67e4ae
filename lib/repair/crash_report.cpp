#include <outlive/crash_report.hpp>

#include "sys/hex.hpp"
#include "sys/signals.hpp"
#include "sys/symbols.hpp"

namespace outlive {

void name_functions(crash_report& crash) {
  for (std::size_t i = 0; i < crash.frames.size(); ++i) {
    stack_frame& frame = crash.frames[i];
    if (!frame.function.empty() || frame.module.empty()) continue;
    // A return address may already be the next function's: the call before it is meant.
    const std::uint64_t inside = i == 0 ? 0 : 1;
    const detail::found_symbol found =
        detail::function_at(frame.module, frame.build_id, frame.offset - inside);
    frame.function = found.name;
    frame.function_offset = found.name.empty() ? 0 : found.offset + inside;
  }
}

std::string to_string(const crash_report& crash) {
  std::string text = detail::signal_name(crash.signal);
  const std::string_view meaning = detail::signal_code_text(crash.signal, crash.code);
  if (!meaning.empty()) text += " (" + std::string(meaning) + ")";
  // Of a signal that a process sent, the kernel tells the sender where the address would stand.
  if (detail::has_fault_address(crash.signal, crash.code))
    text += " at " + detail::hex(crash.address);
  if (crash.nested) text += ", and crashed again while that was recorded";
  return text;
}

}  // namespace outlive
