#include <outlive/live_stack.hpp>

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#include <exception>
#include <thread>
#include <vector>

#include "crash/process_modules.hpp"
#include "crash/tracer.hpp"
#include "crash/unwinder.hpp"
#include "sys/no_cancellation.hpp"
#include "sys/symbols.hpp"

namespace outlive {

namespace {

constexpr std::size_t most_frames = 64;

const crash::process_module* module_of(const std::vector<crash::process_module>& all,
                                       std::uint64_t address) {
  for (const crash::process_module& each : all) {
    if (address >= each.at.begin && address < each.at.end) return &each;
  }
  return nullptr;
}

stack_frame describe(const std::vector<crash::process_module>& modules, std::uint64_t address,
                     bool is_return_address) {
  stack_frame frame;
  frame.address = address;
  const crash::process_module* const module = module_of(modules, address);
  if (module == nullptr) return frame;
  frame.module = module->path;
  frame.offset = address - module->base;
  if (module->deleted) return frame;
  // A return address may already belong to the next function. The call before it is meant.
  const std::uint64_t inside = is_return_address ? 1 : 0;
  const detail::found_symbol found = detail::function_at(frame.module, {}, frame.offset - inside);
  frame.function = found.name;
  frame.function_offset = found.name.empty() ? 0 : found.offset + inside;
  return frame;
}

thread_stack trace(pid_t tid) {
  std::vector<crash::process_module> modules;
  std::uint64_t addresses[most_frames];
  std::size_t count = 0;
  {
    const crash::stopped_thread stopped(tid);
    if (!stopped.problem().empty()) return {{}, stopped.problem()};
    user_regs_struct found{};
    iovec registers{&found, sizeof found};
    if (::ptrace(PTRACE_GETREGSET, tid, reinterpret_cast<void*>(NT_PRSTATUS), &registers) != 0) {
      return {{}, "thread " + std::to_string(tid) + ": its registers cannot be read"};
    }
    crash::checked_memory memory(tid);
    modules = crash::modules_of(tid, memory);
    const auto find = [](std::uint64_t address, void* context) -> const crash::mapped_module* {
      const crash::process_module* const module =
          module_of(*static_cast<std::vector<crash::process_module>*>(context), address);
      return module != nullptr ? &module->at : nullptr;
    };
    crash::unwinding from{crash::registers(found), memory, find, &modules};
    count = crash::unwind(from, addresses, most_frames);
  }
  // The thread already runs again while names are looked up.
  thread_stack stack;
  for (std::size_t i = 0; i < count; ++i)
    stack.frames.push_back(describe(modules, addresses[i], i > 0));
  return stack;
}

}  // namespace

thread_stack live_stack(pid_t tid) {
  const detail::no_cancellation
      here;  // a cancellation in join() would destroy a running std::thread
  if (const std::string& problem = crash::prepare_unwinder(); !problem.empty())
    return {{}, problem};
  thread_stack stack;
  std::exception_ptr thrown;
  // A thread of its own: when it ends, for whatever reason, the kernel releases the traced thread.
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
