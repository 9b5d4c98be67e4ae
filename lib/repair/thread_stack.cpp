#include <outlive/thread_stack.hpp>

#include "sys/hex.hpp"

namespace outlive {

using detail::hex;

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
