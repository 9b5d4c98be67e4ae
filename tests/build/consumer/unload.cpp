// Loads the plug-in that is named, uses it in a thread, and unloads it before the thread ends.
#include <dlfcn.h>

#include <cstdio>
#include <thread>

int main(int, char** argv) {
  int result = 0;
  std::thread([&] {
    void* const plugin = ::dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (plugin == nullptr) return static_cast<void>(std::puts(::dlerror()));
    result = reinterpret_cast<int (*)()>(::dlsym(plugin, "use_outlive"))();
    ::dlclose(plugin);
  }).join();
  return result == 1 ? 0 : 1;
}
