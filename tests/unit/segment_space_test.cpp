// No room: /dev/shm is full, or a limit of the process is reached, or the segment itself is full.
// An error at once, never SIGBUS later, and nothing is left behind.
#include <outlive/segment.hpp>
#include <outlive/segment_view.hpp>

#include <dirent.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>

#include "support/leaks.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

// Gives the calling process mounts of its own. Returns: why it cannot.
std::optional<std::string> unshare_mounts() {
  if (::unshare(CLONE_NEWNS) != 0)
    return std::string("unshare(CLONE_NEWNS): ") + std::strerror(errno);
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return std::string("private mounts: ") + std::strerror(errno);
  return std::nullopt;
}

// Gives the calling process a /dev/shm of its own. Returns: why it cannot.
std::optional<std::string> mount_shm(const char* mount_options) {
  if (auto why = unshare_mounts()) return why;
  if (::mount("none", "/dev/shm", "tmpfs", 0, mount_options) != 0)
    return std::string("mounting a tmpfs: ") + std::strerror(errno);
  return std::nullopt;
}

// Each case is a process of its own, so that it may change its mounts and limits.
#define REQUIRE_SHM(mount_options) \
  if (const auto why = mount_shm(mount_options)) GTEST_SKIP() << *why

#define REQUIRE_OWN_MOUNTS() \
  if (const auto why = unshare_mounts()) GTEST_SKIP() << *why

// All address space of this process.
std::size_t mapped_bytes() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

std::size_t files_in_shm() {
  DIR* const folder = ::opendir("/dev/shm");
  std::size_t count = 0;
  while (const dirent* entry = ::readdir(folder)) count += entry->d_name[0] != '.' ? 1U : 0U;
  ::closedir(folder);
  return count;
}

std::uint64_t free_bytes_in_shm() {
  struct statvfs info {};
  EXPECT_EQ(::statvfs("/dev/shm", &info), 0);
  return info.f_bfree * info.f_bsize;
}

// A failed creation must take nothing: no file, space, descriptor or mapping.
template <class Act>
void expect_nothing_left_by(Act act) {
  act();  // once ahead: what the process keeps for good after its first use
  const auto before = holdings::of(getpid());
  const std::uint64_t free_before = free_bytes_in_shm();
  act();
  EXPECT_EQ(holdings::of(getpid()).added_since(before), "");
  EXPECT_EQ(free_bytes_in_shm(), free_before);
  EXPECT_EQ(files_in_shm(), 0U);
}

TEST(segment_space, a_full_dev_shm_is_told_at_creation) {
  REQUIRE_SHM("size=512k");
  const test_name name;
  segment_options options;
  options.size = 1 << 20;
  const std::string text = "expected " +
                           std::to_string(detail::region_layout::of([&] {
                                            detail::segment_constants c{};
                                            c.object_bytes = options.size;
                                            c.directory_capacity = options.directory_capacity;
                                            c.threads = options.threads;
                                            c.participants = options.participants;
                                            c.max_held = options.max_held;
                                            c.lock_classes = options.lock_classes;
                                            return c;
                                          }())
                                              .total) +
                           " bytes";
  expect_nothing_left_by([&] {
    expect_error(errc::no_space,
                 {name.quoted(), "found no room for it in /dev/shm", text, "segment_options::size"},
                 [&] { (void)segment::create(name, options); });
    expect_error(errc::no_space, {name.quoted(), text},
                 [&] { (void)segment::open_or_create(name, options); });
  });
  // A smaller one fits, and all of it can be written.
  segment made = segment::create(name, few_of_everything());
  made.find_or_construct<std::array<char, 3000>>("bytes").fill('x');
}

TEST(segment_space, the_last_free_page_decides) {
  const test_name name;
  const std::size_t bytes = segment::create(name, few_of_everything()).size_bytes();
  segment::unlink(name);
  const std::size_t pages = (bytes + 4095) / 4096;
  {
    REQUIRE_SHM(("size=" + std::to_string((pages - 1) * 4096)).c_str());
    expect_error(errc::no_space, {name.quoted()},
                 [&] { (void)segment::create(name, few_of_everything()); });
    EXPECT_EQ(files_in_shm(), 0U);
  }
  REQUIRE_SHM(("size=" + std::to_string(pages * 4096)).c_str());
  EXPECT_NO_THROW((void)segment::create(name, few_of_everything()));
}

TEST(segment_space, more_than_the_machine_has) {
  const test_name name;
  segment_options options;
  options.size = std::size_t{1} << 37;  // the most that an option allows
  const std::uint64_t free_before = free_bytes_in_shm();
  if (free_before > options.size) GTEST_SKIP() << "/dev/shm has room for 128 GiB";
  expect_error(errc::no_space, {name.quoted(), "/dev/shm", "expected 1374"},
               [&] { (void)segment::create(name, options); });
}

TEST(segment_space, no_file_left_in_dev_shm) {
  REQUIRE_SHM("size=1m,nr_inodes=2");
  const test_name name;
  const test_name other;
  const segment made = segment::create(name, few_of_everything());
  expect_error(errc::no_space, {other.quoted(), "/dev/shm"},
               [&] { (void)segment::create(other, few_of_everything()); });
}

TEST(segment_space, a_read_only_dev_shm) {
  const test_name name;
  REQUIRE_SHM("size=1m,ro");
  expect_nothing_left_by([&] {
    expect_error(std::make_error_code(std::errc::read_only_file_system),
                 {name.quoted(), "/dev/shm"}, [&] { (void)segment::create(name); });
  });
  expect_error(errc::not_found, {name.quoted()}, [&] { (void)segment::open(name); });
}

// SIGXFSZ, which the kernel sends behind the limit, would end the process: the limit is asked for
// first.
TEST(segment_space, the_limit_of_a_files_size) {
  REQUIRE_SHM("size=4m");
  const test_name name;
  const rlimit limit{65'536, 65'536};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const auto code = std::make_error_code(std::errc::file_too_large);
  expect_nothing_left_by([&] {
    expect_error(code,
                 {name.quoted(), "found a limit on the size of files of 65536 bytes",
                  "RLIMIT_FSIZE", "expected at least "},
                 [&] { (void)segment::create(name); });
    expect_error(code, {name.quoted(), "RLIMIT_FSIZE"},
                 [&] { (void)segment::open_or_create(name); });
    expect_error(code, {"anonymous segment", "RLIMIT_FSIZE"}, [&] { (void)segment::anonymous(); });
  });
}

TEST(segment_space, no_descriptor_left) {
  const test_name name;
  const test_name other;
  { const segment made = segment::create(name); }
  const rlimit limit{holdings::of(getpid()).open_files(), 1024};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  const auto code = std::make_error_code(std::errc::too_many_files_open);
  expect_error(code, {other.quoted()}, [&] { (void)segment::create(other); });
  expect_error(code, {name.quoted()}, [&] { (void)segment::open(name); });
  expect_error(code, {"anonymous segment"}, [&] { (void)segment::anonymous(); });
  const rlimit more{64, 1024};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &more), 0);
  EXPECT_NO_THROW((void)segment::open(name));
}

// A descriptor for the segment is left, and none to read the boot id with.
TEST(segment_space, too_few_descriptors_to_tell_the_boot) {
  const test_name name;
  const test_name other;
  { const segment made = segment::create(name); }
  const rlim_t taken = holdings::of(getpid()).open_files();
  const auto code = std::make_error_code(std::errc::too_many_files_open);
  const rlimit one{taken + 1, 1024};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &one), 0);
  expect_error(code, {name.quoted(), "found no file descriptor left", "RLIMIT_NOFILE"},
               [&] { (void)segment::open(name); });
  expect_error(code, {name.quoted(), "found no file descriptor left"},
               [&] { (void)segment_view::open(name); });
  const rlimit two{taken + 2, 1024};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &two), 0);
  EXPECT_EQ(segment::open(name).name(), std::string(name));
}

TEST(segment_space, a_proc_that_does_not_tell_the_boot) {
  const test_name name, other;
  { const segment made = segment::create(name); }
  REQUIRE_OWN_MOUNTS();
  const auto expect_refusals = [&](std::string_view word) {
    expect_error(errc::no_proc, {name.quoted(), word, "expected /proc to be mounted"},
                 [&] { (void)segment::open(name); });
    expect_error(errc::no_proc, {name.quoted(), word},
                 [&] { (void)segment::open_or_create(name); });
    expect_error(errc::no_proc, {name.quoted(), word}, [&] { (void)segment_view::open(name); });
    expect_error(errc::no_proc, {other.quoted(), word}, [&] { (void)segment::create(other); });
    expect_error(errc::no_proc, {"anonymous segment", word}, [&] { (void)segment::anonymous(); });
  };
  if (::mount("proc", "/proc", "proc", 0, "subset=pid") == 0) {
    expect_refusals("boot_id not readable");
    ASSERT_EQ(::umount2("/proc", MNT_DETACH), 0);
  }
  ASSERT_EQ(::mount("none", "/proc", "tmpfs", 0, "size=4k"), 0);  // as in a chroot without one
  expect_refusals("boot_id not readable (No such file or directory)");
  ASSERT_EQ(::umount2("/proc", MNT_DETACH), 0);
  // One that tells the boot, and not the PID namespace.
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  ASSERT_EQ(::mount("none", "/proc", "tmpfs", 0, "size=64k"), 0);
  for (const char* const folder : {"/proc/sys", "/proc/sys/kernel", "/proc/sys/kernel/random"})
    ASSERT_EQ(::mkdir(folder, 0700), 0);
  std::ofstream("/proc/sys/kernel/random/boot_id") << boot << '\n';
  expect_refusals("found no /proc/self/ns/pid");
  ASSERT_EQ(::umount2("/proc", MNT_DETACH), 0);
  EXPECT_EQ(segment::open(name).name(), std::string(name));
}

TEST(segment_space, a_dev_shm_that_is_no_tmpfs) {
  const test_name name;
  { const segment made = segment::create(name, few_of_everything()); }
  const auto bytes = segment_file(name.path()).read();
  ASSERT_TRUE(segment::unlink(name));  // once something is mounted over it, it would stay
  REQUIRE_OWN_MOUNTS();
  ASSERT_EQ(::mount("none", "/dev/shm", "ramfs", 0, nullptr), 0);
  expect_error(
      errc::wrong_file_system,
      {name.quoted(), "found /dev/shm on a file system of type 0x858458f6", "expected a tmpfs"},
      [&] { (void)segment::create(name); });
  ASSERT_EQ(::close(::open(name.path().c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600)), 0);
  const segment_file file(name.path());
  file.write(bytes);
  file.become_original();
  expect_error(errc::wrong_file_system, {name.quoted(), "found its file on a file system"},
               [&] { (void)segment::open(name); });
  expect_error(errc::wrong_file_system, {name.quoted()},
               [&] { (void)segment::open_or_create(name); });
  expect_error(errc::wrong_file_system, {name.quoted()}, [&] { (void)segment_view::open(name); });
  expect_error(errc::wrong_file_system, {"file descriptor "},
               [&] { (void)segment::from_fd(file.fd()); });
}

TEST(segment_space, no_address_space_left) {
  REQUIRE_SHM("size=128m");
  const test_name name, other;
  segment_options options;
  options.size = 32 << 20;
  { const segment made = segment::create(name, options); }
  // Half of the segment still fits, so that all else finds memory, a sanitizer's heap included.
  const rlimit limit{mapped_bytes() + (16 << 20), RLIM_INFINITY};
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &limit), 0);
  const auto code = std::make_error_code(std::errc::not_enough_memory);
  const std::string found =
      "found a limit on address space of " + std::to_string(limit.rlim_cur) + " bytes";
  expect_error(code, {name.quoted(), found, "RLIMIT_AS", "expected room for "},
               [&] { (void)segment::open(name); });
  expect_error(code, {name.quoted(), found}, [&] { (void)segment_view::open(name); });
  expect_error(code, {other.quoted(), found}, [&] { (void)segment::create(other, options); });
  expect_error(code, {"anonymous segment", found}, [&] { (void)segment::anonymous(options); });
  const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &none), 0);
  EXPECT_NO_THROW((void)segment::open(name));
}

// Whether a new mapping stays in memory, so that it counts against the limit.
bool locks_new_memory() {
  void* const page =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT_NE(page, MAP_FAILED);
  std::ifstream status("/proc/self/status");
  std::string word;
  unsigned long kilobytes = 0;
  while (status >> word && word != "VmLck:") {
  }
  status >> kilobytes;
  ::munmap(page, 4096);
  return kilobytes != 0;
}

TEST(segment_space, a_limit_on_locked_memory) {
  const test_name name;
  { const segment made = segment::create(name); }
  if (::geteuid() == 0) {
    // Root may lock as much as it likes: be somebody else, with a segment of that user's.
    ASSERT_EQ(::chown(name.path().c_str(), 65'534, 65'534), 0);
    ASSERT_EQ(::setresuid(65'534, 65'534, 65'534), 0);
  }
  const rlimit limit{1 << 20, 1 << 20};
  ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &limit), 0);
  if (::mlockall(MCL_FUTURE) != 0) GTEST_SKIP() << "mlockall: " << std::strerror(errno);
  if (!locks_new_memory())
    GTEST_SKIP() << "mlockall() does nothing here: a sanitizer's has come in its place";
  expect_error(std::make_error_code(std::errc::resource_unavailable_try_again),
               {name.quoted(), "found a limit on locked memory of 1048576 bytes", "RLIMIT_MEMLOCK",
                "expected room for "},
               [&] { (void)segment::open(name); });
  ASSERT_EQ(::munlockall(), 0);
  EXPECT_EQ(segment::open(name).name(), std::string(name));
}

}  // namespace
}  // namespace outlive::testing
