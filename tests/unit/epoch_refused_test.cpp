// A kernel, or an emulator, that cannot wipe memory on fork: an error that says so, at each
// attempt, and no end of the process.
#include <outlive/segment.hpp>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace {
bool refuses = true;
}

// In the place of libc's, for this program.
extern "C" int madvise(void* memory, std::size_t size, int advice) noexcept {
  if (refuses && advice == MADV_WIPEONFORK) {
    errno = EINVAL;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_madvise, memory, size, advice));
}

namespace outlive::testing {
namespace {

TEST(epoch_refused, is_an_error_and_works_as_soon_as_the_kernel_does) {
  for (int i = 0; i < 2; ++i) {
    try {
      (void)segment::anonymous();
      FAIL() << "made without a way to notice a fork";
    } catch (const std::system_error& error) {
      EXPECT_EQ(error.code(), std::errc::invalid_argument);
      EXPECT_NE(std::string(error.what()).find("MADV_WIPEONFORK"), std::string::npos)
          << error.what();
    }
  }
  refuses = false;
  segment made = segment::anonymous();
  EXPECT_EQ(made.find_or_construct<int>("answer", 42), 42);
}

}  // namespace
}  // namespace outlive::testing
