#include "crash/libunwind.hpp"

#include <dlfcn.h>

namespace outlive::crash {

namespace {

#define NAME_OF_EXPANDED(name) #name
#define NAME_OF(name) NAME_OF_EXPANDED(name)
#if defined(__x86_64__)
#define LIBUNWIND_ARCHITECTURE "x86_64"
#else
#define LIBUNWIND_ARCHITECTURE "aarch64"
#endif

class loader {
 public:
  explicit loader(const char* file) : file_(file), library_(::dlopen(file, RTLD_NOW | RTLD_LOCAL)) {
    const char* const why = library_ == nullptr ? ::dlerror() : nullptr;
    if (library_ == nullptr)
      problem_ = std::string("libunwind cannot be loaded: ") + (why != nullptr ? why : file);
  }
  template <class Function>
  void look_up(Function& to, const char* name) {
    if (library_ == nullptr) return;
    to = reinterpret_cast<Function>(::dlsym(library_, name));
    if (to == nullptr && problem_.empty()) problem_ = std::string(file_) + " has no " + name;
  }
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  const char* file_;
  void* library_;
  std::string problem_;
};

libunwind load() {
  libunwind made;
  loader generic("libunwind-" LIBUNWIND_ARCHITECTURE ".so.8");
  generic.look_up(made.create_space, NAME_OF(unw_create_addr_space));
  generic.look_up(made.init, NAME_OF(unw_init_remote));
  generic.look_up(made.step, NAME_OF(unw_step));
  generic.look_up(made.get, NAME_OF(unw_get_reg));
  generic.look_up(made.search_table, NAME_OF(UNW_ARCH_OBJ(dwarf_search_unwind_table)));
  made.problem = generic.problem();
  return made;
}

}  // namespace

const libunwind& the_libunwind() {
  // never destroyed: a thread can crash during static destruction
  static const libunwind& instance = *new libunwind(load());
  return instance;
}

}  // namespace outlive::crash
