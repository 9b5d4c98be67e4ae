// The functions of libunwind that are used, taken by name.
#pragma once

#include <libunwind.h>

#include <string>

namespace outlive::crash {

struct libunwind {
  decltype(&unw_create_addr_space) create_space = nullptr;
  decltype(&unw_destroy_addr_space) destroy_space = nullptr;
  decltype(&unw_init_remote) init = nullptr;
  decltype(&unw_step) step = nullptr;
  decltype(&unw_get_reg) get = nullptr;
  decltype(&unw_get_proc_name) name = nullptr;
  // Exported for unwinders like ours; no header declares it.
  int (*search_table)(unw_addr_space_t, unw_word_t, unw_dyn_info_t*, unw_proc_info_t*, int, void*) = nullptr;

  // libunwind-ptrace
  void* (*trace_create)(pid_t) = nullptr;
  void (*trace_destroy)(void*) = nullptr;
  unw_accessors_t* trace_accessors = nullptr;

  std::string problem;        // empty: all of the first part is there
  std::string trace_problem;  // empty: all is there
};

// Loaded at the first call.
const libunwind& the_libunwind();

}  // namespace outlive::crash
