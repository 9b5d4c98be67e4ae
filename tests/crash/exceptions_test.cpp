// The program's exceptions go through libgcc, whatever the recorder has loaded.
#include <dlfcn.h>
#include <unwind.h>

#include <cstring>
#include <stdexcept>

#include "crash/dying.hpp"

namespace outlive::testing {
namespace {

const char* file_of(void* function) {
  Dl_info info{};
  return dladdr(function, &info) != 0 ? info.dli_fname : "nowhere";
}

TEST(exceptions, unwind_through_libgcc_after_a_recorder_was_made) {
  const crash_recorder recorder;
  ASSERT_EQ(crash_recorder::problem(), "");  // libunwind is loaded
  EXPECT_NE(std::strstr(file_of(reinterpret_cast<void*>(&_Unwind_RaiseException)), "libgcc_s"),
            nullptr);
  EXPECT_NE(std::strstr(file_of(dlsym(RTLD_DEFAULT, "_Unwind_RaiseException")), "libgcc_s"),
            nullptr);
  // As libstdc++ looks it up.
  void* const library = dlopen("libstdc++.so.6", RTLD_NOLOAD | RTLD_NOW);
  ASSERT_NE(library, nullptr);
  EXPECT_NE(std::strstr(file_of(dlsym(library, "_Unwind_RaiseException")), "libgcc_s"), nullptr);
  dlclose(library);
  EXPECT_THROW(throw std::runtime_error("through libgcc"), std::runtime_error);
}

TEST(exceptions, libunwind_is_nobodys_dependency) {
  EXPECT_EQ(dlsym(RTLD_DEFAULT, "unw_backtrace"), nullptr);
  const crash_recorder recorder;
  EXPECT_EQ(dlsym(RTLD_DEFAULT, "unw_backtrace"), nullptr);
}

}  // namespace
}  // namespace outlive::testing
