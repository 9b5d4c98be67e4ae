#include <outlive/thread_stack.hpp>

#include "sys/hex.hpp"
#include "sys/symbols.hpp"

namespace outlive {

using detail::hex;

void name_function(stack_frame& frame, bool is_return_address) {
  if (!frame.function.empty() || frame.module.empty()) return;
  // A return address may already be the next function's: the call before it is meant.
  const std::uint64_t inside = is_return_address ? 1 : 0;
  const detail::found_symbol found =
      detail::function_at(frame.module, frame.build_id, frame.offset - inside);
  frame.function = found.name;
  frame.function_offset = found.name.empty() ? 0 : found.offset + inside;
}

std::string to_string(const stack_frame& frame) {
  std::string place =
      frame.module.empty() ? hex(frame.address) : frame.module + "+" + hex(frame.offset);
  if (frame.function.empty()) return place;
  return frame.function + "+" + hex(frame.function_offset) + " (" + place + ")";
}

std::string to_string(const thread_stack& stack) {
  if (!stack.problem.empty()) return stack.problem + "\n";
  std::string text;
  for (std::size_t i = 0; i < stack.frames.size(); ++i)
    text += "#" + std::to_string(i) + " " + to_string(stack.frames[i]) + "\n";
  return text;
}

}  // namespace outlive
