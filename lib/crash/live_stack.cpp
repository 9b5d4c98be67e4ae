#include <outlive/live_stack.hpp>

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <memory>
#include <thread>

#include "crash/libunwind.hpp"
#include "crash/process_maps.hpp"
#include "crash/tracer.hpp"

namespace outlive {

namespace {

constexpr std::size_t most_frames = 64;
constexpr std::size_t longest_name = 1024;

std::string readable(const char* name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(name, nullptr, nullptr, &status), &std::free);
  return text != nullptr ? text.get() : name;
}

void locate(stack_frame& frame, const std::vector<crash::mapped_file>& files) {
  const auto found = std::find_if(files.begin(), files.end(), [&](const crash::mapped_file& each) { return frame.address >= each.begin && frame.address < each.end; });
  if (found == files.end()) return;
  frame.module = found->path;
  frame.offset = frame.address - found->base;
}

thread_stack read_frames(pid_t tid) {
  const crash::libunwind& by = crash::the_libunwind();
  thread_stack stack;
  const std::unique_ptr<void, void (*)(void*)> argument(by.trace_create(tid), by.trace_destroy);
  const std::unique_ptr<std::remove_pointer_t<unw_addr_space_t>, void (*)(unw_addr_space_t)> space(by.create_space(by.trace_accessors, 0), by.destroy_space);
  unw_cursor_t cursor;
  if (argument == nullptr || space == nullptr || by.init(&cursor, space.get(), argument.get()) != 0) {
    stack.problem = "libunwind cannot read the registers of thread " + std::to_string(tid);
    return stack;
  }
  const auto files = crash::executable_mappings(tid);
  do {
    unw_word_t address = 0;
    if (by.get(&cursor, UNW_REG_IP, &address) != 0 || address == 0) break;
    stack_frame& frame = stack.frames.emplace_back();
    frame.address = address;
    locate(frame, files);
    char name[longest_name];
    unw_word_t offset = 0;
    if (by.name(&cursor, name, sizeof name, &offset) != 0) continue;
    frame.function = readable(name);
    frame.function_offset = offset;
  } while (stack.frames.size() < most_frames && by.step(&cursor) > 0);
  if (stack.frames.empty()) stack.problem = "thread " + std::to_string(tid) + " has no frame that can be read";
  return stack;
}

thread_stack trace(pid_t tid) {
  const crash::stopped_thread stopped(tid);
  if (!stopped.problem().empty()) return {{}, stopped.problem()};
  return read_frames(tid);
}

}  // namespace

thread_stack live_stack(pid_t tid) {
  if (const std::string& problem = crash::the_libunwind().trace_problem; !problem.empty()) return {{}, problem};
  thread_stack stack;
  std::exception_ptr thrown;
  // A thread of its own: whatever happens in it, the kernel lets the traced one go when it ends.
  std::thread tracer([&] {
    try {
      stack = trace(tid);
    } catch (...) {
      thrown = std::current_exception();
    }
  });
  tracer.join();
  if (thrown) std::rethrow_exception(thrown);
  return stack;
}

}  // namespace outlive
