// A program of somebody else's: what the installation test builds against the installed library, in three ways.
#include <outlive/version.hpp>

#include <cstdio>
#include <cstring>

int main() {
  std::puts(outlive::version());
  return std::strcmp(outlive::version(), OUTLIVE_VERSION) == 0 ? 0 : 1;
}
