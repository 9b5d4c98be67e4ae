#include "crash/unwinder.hpp"

#include "crash/libunwind.hpp"
#include "crash/module_map.hpp"

namespace outlive::crash {

namespace {

unwinding& of(void* argument) noexcept {
  return *static_cast<unwinding*>(argument);
}

// .eh_frame_hdr as all linkers write it: a sorted table of pairs of 32-bit offsets, relative to the
// header.
struct frame_header {
  std::uint8_t version;
  std::uint8_t frame_pointer_encoding;
  std::uint8_t count_encoding;
  std::uint8_t table_encoding;
  std::int32_t frame_pointer;
  std::uint32_t count;
};
constexpr std::uint64_t table_offset = 12;
static_assert(sizeof(frame_header) == table_offset);
constexpr std::uint8_t encoded_relative_to_place = 0x1b;  // DW_EH_PE_pcrel | sdata4
constexpr std::uint8_t encoded_unsigned = 0x03;           // DW_EH_PE_udata4
constexpr std::uint8_t encoded_relative_to_table = 0x3b;  // DW_EH_PE_datarel | sdata4

int find_proc_info(unw_addr_space_t space, unw_word_t address, unw_proc_info_t* info,
                   int need_unwind_info, void* argument) {
  const mapped_module* const module = of(argument).find(address, of(argument).context);
  frame_header header{};
  if (module == nullptr || module->frame_header == 0 ||
      !of(argument).memory.bytes(module->frame_header, &header, sizeof header))
    return -UNW_ENOINFO;
  if (header.version != 1 || header.frame_pointer_encoding != encoded_relative_to_place ||
      header.count_encoding != encoded_unsigned ||
      header.table_encoding != encoded_relative_to_table) {
    return -UNW_ENOINFO;
  }
  unw_dyn_info_t table{};
  table.start_ip = module->begin;
  table.end_ip = module->end;
  table.format = UNW_INFO_FORMAT_REMOTE_TABLE;
  table.u.rti.segbase = module->frame_header;
  table.u.rti.table_data = module->frame_header + table_offset;
  table.u.rti.table_len = header.count;  // entries of 8 bytes, counted in words
  return the_libunwind().search_table(space, address, &table, info, need_unwind_info, argument);
}

void put_unwind_info(unw_addr_space_t, unw_proc_info_t*, void*) {}

int no_dynamic_info(unw_addr_space_t, unw_word_t*, void*) {
  return -UNW_ENOINFO;
}

int access_memory(unw_addr_space_t, unw_word_t address, unw_word_t* word, int write,
                  void* argument) {
  std::uint64_t value = 0;
  if (write != 0 || !of(argument).memory.word(address, value)) return -UNW_EINVAL;
  *word = value;
  return 0;
}

int access_register(unw_addr_space_t, unw_regnum_t number, unw_word_t* value, int write,
                    void* argument) {
  if (write != 0 || number < 0 || static_cast<unsigned>(number) >= registers::count)
    return -UNW_EBADREG;
  *value = of(argument).at.values[number];
  return 0;
}

int no_float_register(unw_addr_space_t, unw_regnum_t, unw_fpreg_t*, int, void*) {
  return -UNW_EBADREG;
}

int no_resume(unw_addr_space_t, unw_cursor_t*, void*) {
  return -UNW_EINVAL;
}

int no_name(unw_addr_space_t, unw_word_t, char*, std::size_t, unw_word_t*, void*) {
  return -UNW_ENOINFO;
}

// Made once, outside of handlers. Its cache stays off, the default for a space with accessors: a
// cache has a lock.
unw_addr_space_t the_space() noexcept {
  static unw_accessors_t accessors{&find_proc_info, &put_unwind_info, &no_dynamic_info,
                                   &access_memory,  &access_register, &no_float_register,
                                   &no_resume,      &no_name};
  static const unw_addr_space_t space =
      the_libunwind().problem.empty() ? the_libunwind().create_space(&accessors, 0) : nullptr;
  return space;
}

// A call through a wild pointer leads to an instruction from which nothing can be unwound. Its
// caller is where the call has stored the return address.
bool step_over_wild_call(unwinding& here) noexcept {
  auto& values = here.at.values;
  if (here.find(values[registers::instruction], here.context) != nullptr) return false;
#if defined(__x86_64__)
  std::uint64_t& stack = values[registers::stack_pointer];
  std::uint64_t caller = 0;
  if (!here.memory.word(stack, caller) || here.find(caller, here.context) == nullptr) return false;
  stack += sizeof caller;
#else
  const std::uint64_t caller = values[registers::link];
  if (here.find(caller, here.context) == nullptr) return false;
#endif
  values[registers::instruction] = caller;
  return true;
}

}  // namespace

const std::string& prepare_unwinder() {
  static const std::string& problem = *new std::string([] {
    const std::string& found = the_libunwind().problem;
    return found.empty() && the_space() == nullptr ? std::string("libunwind has no memory") : found;
  }());
  refresh_module_map();
  return problem;
}

std::size_t unwind(unwinding& from, std::uint64_t* frames, std::size_t most) noexcept {
  std::size_t count = 0;
  frames[count++] = from.at.values[registers::instruction];
  if (the_space() == nullptr) return count;
  if (step_over_wild_call(from)) frames[count++] = from.at.values[registers::instruction];
  const libunwind& by = the_libunwind();
  unw_cursor_t cursor;
  if (by.init(&cursor, the_space(), &from) != 0) return count;
  while (count < most && by.step(&cursor) > 0) {
    unw_word_t address = 0;
    if (by.get(&cursor, UNW_REG_IP, &address) != 0 || address == 0) break;
    frames[count++] = address;
  }
  return count;
}

std::size_t unwind(const ucontext_t& context, std::uint64_t (&frames)[max_frames]) noexcept {
  unwinding here{registers(context), checked_memory(),
                 [](std::uint64_t address, void*) { return module_with(address); }, nullptr};
  return unwind(here, frames, max_frames);
}

}  // namespace outlive::crash
