// The functions of libunwind that are used, loaded by name.
#pragma once

#include <libunwind.h>

#include <string>

namespace outlive::crash {

struct libunwind {
  decltype(&unw_create_addr_space) create_space = nullptr;
  decltype(&unw_init_remote) init = nullptr;
  decltype(&unw_step) step = nullptr;
  decltype(&unw_get_reg) get = nullptr;
  // Exported for unwinders like ours, but declared in no header.
  int (*search_table)(unw_addr_space_t, unw_word_t, unw_dyn_info_t*, unw_proc_info_t*, int,
                      void*) = nullptr;

  std::string problem;  // empty: all are there
};

// Loaded at the first call.
const libunwind& the_libunwind();

}  // namespace outlive::crash
