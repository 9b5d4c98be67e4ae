#include "sys/modules.hpp"

#include <elf.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>

#include "sys/at_load.hpp"
#include "sys/fork_epoch.hpp"

namespace outlive::detail {

namespace {

// Held around each dl_iterate_phdr(), and over a fork. glibc does not repair the lock that it
// acquires there, so the child of a fork in the middle of it would wait for ever at its first lock.
std::mutex& list_mutex() {
  static std::mutex& mutex = []() -> std::mutex& {
    // never destroyed: threads lock during static destruction
    auto made = std::make_unique<std::mutex>();
    around_fork([] { list_mutex().lock(); }, [] { list_mutex().unlock(); });
    return *made.release();
  }();
  return mutex;
}

std::string_view executable_path() {
  // Never destroyed: threads lock during static destruction.
  static const std::string& path = *[] {
    char buffer[512];
    const ssize_t size = ::readlink("/proc/self/exe", buffer, sizeof buffer);
    return new std::string(buffer, size > 0 ? static_cast<std::size_t>(size) : 0);
  }();
  return path;
}

const made_at_load mutex_and_path([] {
  list_mutex();
  executable_path();
});

// Marks each copy of the library, in a shared object or linked into a plug-in, with or without
// symbols.
constexpr char note_name[] = "outlive";
constexpr unsigned note_type = 1;
asm(R"(
  .pushsection .note.outlive, "a", @note
  .balign 4
  .long 8, 4, 1
  .asciz "outlive"
  .long 0
  .popsection
)");

// The contents of the note with that name and type, or nothing.
std::optional<std::string_view> note_in(const char* notes, std::size_t size,
                                        std::string_view wanted, unsigned type) noexcept {
  std::size_t at = 0;
  while (at + sizeof(ElfW(Nhdr)) <= size) {
    ElfW(Nhdr) header;
    std::memcpy(&header, notes + at, sizeof header);
    const std::size_t name = at + sizeof header;
    const std::size_t text = name + (header.n_namesz + 3U) / 4 * 4;
    const std::size_t next = text + (header.n_descsz + 3U) / 4 * 4;
    if (next > size || next <= at) return std::nullopt;
    if (header.n_type == type && std::string_view(notes + name, header.n_namesz) == wanted)
      return std::string_view(notes + text, header.n_descsz);
    at = next;
  }
  return std::nullopt;
}

template <std::size_t Size>
constexpr std::string_view with_zero(const char (&text)[Size]) noexcept {
  return {text, Size};
}

void read_notes(loaded_module& module, const char* notes, std::size_t size) noexcept {
  if (module.build_id.empty())
    module.build_id =
        note_in(notes, size, with_zero("GNU"), NT_GNU_BUILD_ID).value_or("").substr(0, 20);
  if (note_in(notes, size, with_zero(note_name), note_type)) module.has_outlive = true;
}

struct visit_state {
  bool (*visit)(const loaded_module&, void*);
  void* context;
  bool first = true;
};

int visit_phdr(dl_phdr_info* info, std::size_t, void* context) {
  auto& state = *static_cast<visit_state*>(context);
  // the dynamic linker visits the executable first, without a name
  const bool is_executable = state.first;
  state.first = false;
  loaded_module module{
      info->dlpi_addr, std::numeric_limits<std::uint64_t>::max(), 0, info->dlpi_name, {}};
  if (is_executable && module.path.empty()) module.path = executable_path();
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = info->dlpi_phdr[i];
    const std::uint64_t begin = info->dlpi_addr + part.p_vaddr;
    if (part.p_type == PT_LOAD) {
      module.begin = std::min<std::uint64_t>(module.begin, begin);
      module.end = std::max<std::uint64_t>(module.end, begin + part.p_memsz);
    }
    if (part.p_type == PT_GNU_EH_FRAME) module.frame_header = begin;
    if (part.p_type == PT_NOTE)
      read_notes(module, reinterpret_cast<const char*>(begin), part.p_memsz);
  }
  if (module.end == 0) return 0;
  return state.visit(module, state.context) ? 0 : 1;
}

}  // namespace

void prepare_modules() {
  list_mutex();
}

void for_each_module(bool (*visit)(const loaded_module&, void*), void* context) {
  visit_state state{visit, context};
  const std::lock_guard hold(list_mutex());
  dl_iterate_phdr(&visit_phdr, &state);
}

namespace {

bool contains_this(const loaded_module& module) noexcept {
  const auto here = reinterpret_cast<std::uint64_t>(&note_name);
  return here >= module.begin && here < module.end;
}

}  // namespace

std::string other_copies() {
  std::string found;
  for_each_module(
      [](const loaded_module& module, void* into) {
        auto& text = *static_cast<std::string*>(into);
        if (module.has_outlive && !contains_this(module))
          (text += text.empty() ? "" : ", ") += module.path;
        return true;
      },
      &found);
  return found;
}

std::string this_copy() {
  std::string found;
  for_each_module(
      [](const loaded_module& module, void* into) {
        if (!contains_this(module)) return true;
        *static_cast<std::string*>(into) = module.path;
        return false;
      },
      &found);
  return found;
}

}  // namespace outlive::detail
