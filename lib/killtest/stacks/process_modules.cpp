#include "killtest/stacks/process_modules.hpp"

#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include <cstddef>

#include "killtest/process/child_process.hpp"

namespace outlive::killtest::detail {

namespace {

// libdw keeps the files of modules open for the life of the process. A program that it executes
// must not inherit them.
int closed_on_exec(int fd) noexcept {
  if (fd >= 0) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return above_standard(fd);
}

int find_elf(Dwfl_Module* module, void** data, const char* name, Dwarf_Addr base, char** file,
             Elf** elf) {
  return closed_on_exec(dwfl_linux_proc_find_elf(module, data, name, base, file, elf));
}

int find_debuginfo(Dwfl_Module* module, void** data, const char* name, Dwarf_Addr base,
                   const char* file, const char* link, GElf_Word crc, char** found) {
  return closed_on_exec(
      dwfl_standard_find_debuginfo(module, data, name, base, file, link, crc, found));
}

const Dwfl_Callbacks callbacks = {
    .find_elf = &find_elf,
    .find_debuginfo = &find_debuginfo,
    .section_address = nullptr,
    .debuginfo_path = nullptr,
};

}  // namespace

module_changes changes_of_modules() {
  module_changes found;
  const auto look = [](dl_phdr_info* module, std::size_t, void* into) {
    *static_cast<module_changes*>(into) = {module->dlpi_adds, module->dlpi_subs};
    return 1;
  };
  ::dl_iterate_phdr(look, &found);
  return found;
}

process_modules::process_modules() : session_(dwfl_begin(&callbacks)) {
  if (session_ == nullptr) return;
  if (dwfl_linux_proc_report(session_, ::getpid()) == 0 &&
      dwfl_report_end(session_, nullptr, nullptr) == 0)
    return;
  dwfl_end(session_);
  session_ = nullptr;
}

process_modules::~process_modules() {
  if (session_ != nullptr) dwfl_end(session_);
}

}  // namespace outlive::killtest::detail
