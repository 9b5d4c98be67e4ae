// Segments that open() must refuse: another format, another machine's, truncated, or not a segment
// at all. Each is a whole segment with one thing changed and a checksum that fits, so that the
// check of that one thing is what refuses it.
#include <outlive/segment.hpp>
#include <outlive/segment_view.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <cstdio>
#include <functional>
#include <string>

#include "segment/header.hpp"
#include "unit/segment_fixture.hpp"

namespace outlive::testing {
namespace {

using detail::segment_constants;

/// Makes a segment, changes its constants, and opens it: by name, and by a descriptor.
void expect_refused(errc code, std::initializer_list<std::string_view> words,
                    void (*change)(segment_constants&), source_line at = source_line::here()) {
  const test_name name;
  { segment::create(name, few_of_everything()).find_or_construct<int>("answer", 42); }
  const segment_file file(name.path());
  const segment_constants whole = file.constants();
  segment_constants changed = whole;
  change(changed);
  file.write(changed);
  expect_error(
      code, {name.quoted()}, [&] { (void)segment::open(name); }, at);
  expect_error(
      code, words, [&] { (void)segment::open(name); }, at);
  expect_error(
      code, words, [&] { (void)segment::open_or_create(name); }, at);
  expect_error(
      code, words, [&] { (void)segment::from_fd(file.fd()); }, at);
  // Nothing was lost by that.
  file.write(whole);
  EXPECT_EQ(*segment::open(name).find<int>("answer"), 42);
}

TEST(segment_refusal, another_format_version) {
  expect_refused(errc::version_mismatch, {"found format version 1", "expected 2"},
                 [](segment_constants& c) { c.version = 1; });
  expect_refused(errc::version_mismatch, {"found format version 0", "expected 2"},
                 [](segment_constants& c) { c.version = 0; });
}

TEST(segment_refusal, a_later_version_with_another_checksum) {
  const test_name name;
  { const segment made = segment::create(name, few_of_everything()); }
  const segment_file file(name.path());
  const std::uint32_t version = 3;
  file.write(&version, sizeof version, offsetof(segment_constants, version));
  expect_error(errc::version_mismatch,
               {name.quoted(), "found format version 3", "expected 2", "use the release"},
               [&] { (void)segment::open(name); });
}

TEST(segment_refusal, unknown_features) {
  expect_refused(errc::version_mismatch,
                 {"found features 0x4", "expected at most 0x1", "use the release"},
                 [](segment_constants& c) { c.features = 4; });
}

TEST(segment_refusal, another_abi_is_told_in_words) {
  const std::string own = detail::describe_abi(detail::abi_signature());
  expect_refused(errc::abi_mismatch, {"found ABI ", "32 bit", "; expected ", own},
                 [](segment_constants& c) {
                   c.abi = (c.abi & ~(std::uint64_t{0xff} << 40)) | std::uint64_t{4} << 40;
                 });
  expect_refused(errc::abi_mismatch, {"musl", "; expected ", "glibc"}, [](segment_constants& c) {
    c.abi = (c.abi & ~(std::uint64_t{0xff} << 32)) | std::uint64_t{2} << 32;
  });
  expect_refused(errc::abi_mismatch, {"mutex of 24 bytes"}, [](segment_constants& c) {
    c.abi = (c.abi & ~(std::uint64_t{0xffff} << 16)) | std::uint64_t{24} << 16;
  });
  expect_refused(errc::abi_mismatch, {"cache line of 128"},
                 [](segment_constants& c) { c.abi = (c.abi & ~std::uint64_t{0xffff}) | 128; });
  expect_refused(errc::abi_mismatch, {"machine 0xf3"}, [](segment_constants& c) {
    c.abi = (c.abi & ~(std::uint64_t{0xffff} << 48)) | std::uint64_t{0xf3} << 48;
  });
}

TEST(segment_refusal, another_boot_of_the_machine) {
  expect_refused(errc::damaged, {"another boot", "remove it"},
                 [](segment_constants& c) { c.boot_id[5] = static_cast<char>(~c.boot_id[5]); });
}

TEST(segment_refusal, another_pid_namespace) {
  expect_refused(errc::wrong_pid_namespace,
                 {"found PID namespace 4711", "expected this process's "},
                 [](segment_constants& c) { c.pid_namespace = 4711; });
}

TEST(segment_refusal, another_time_namespace) {
  expect_refused(errc::wrong_pid_namespace,
                 {"found time namespace 4711", "expected this process's "},
                 [](segment_constants& c) { c.time_namespace = 4711; });
}

TEST(segment_refusal, numbers_out_of_their_range_or_at_odds) {
  const auto expect_damaged = [](void (*change)(segment_constants&)) {
    expect_refused(errc::damaged, {"sizes contradict each other"}, change);
  };
  expect_damaged([](segment_constants& c) { c.object_bytes += 1; });
  expect_damaged([](segment_constants& c) { c.object_bytes += 4096; });
  expect_damaged([](segment_constants& c) { c.object_bytes = 0; });
  expect_damaged([](segment_constants& c) { c.object_bytes = ~std::uint64_t{4095}; });
  expect_damaged([](segment_constants& c) { c.directory_capacity = 0; });
  expect_damaged([](segment_constants& c) { c.directory_capacity = ~0U; });
  expect_damaged([](segment_constants& c) { c.threads = 0; });
  expect_damaged([](segment_constants& c) { c.threads = 65'535; });
  expect_damaged([](segment_constants& c) { c.participants = 0; });
  expect_damaged([](segment_constants& c) { c.participants = ~0U; });
  expect_damaged([](segment_constants& c) { c.max_held = 0; });
  expect_damaged([](segment_constants& c) { c.max_held = 1901; });
  expect_damaged([](segment_constants& c) { c.attempts = 0; });
  expect_damaged([](segment_constants& c) { c.attempts = 64; });
  expect_damaged([](segment_constants& c) { c.lock_classes = 0; });
  expect_damaged([](segment_constants& c) { c.lock_classes = ~0U; });
  expect_damaged([](segment_constants& c) { c.total_size += 4096; });
  expect_damaged([](segment_constants& c) { c.total_size = 0; });
  expect_damaged([](segment_constants& c) { std::memset(c.name, 'n', sizeof c.name); });
}

TEST(segment_refusal, wrong_magic) {
  expect_refused(errc::damaged,
                 {"found magic 0x1234", "expected 0x314556494c54554f", "no segment of outlive"},
                 [](segment_constants& c) { c.magic = 0x1234; });
}

TEST(segment_refusal, wrong_checksum) {
  const test_name name;
  { const segment made = segment::create(name, few_of_everything()); }
  const segment_file file(name.path());
  segment_constants c = file.constants();
  c.checksum ^= 1;
  file.write(&c, sizeof c, 0);
  expect_error(errc::damaged, {name.quoted(), "found header checksum 0x", ", expected 0x"},
               [&] { (void)segment::open(name); });
}

// In four parts, since there are very many lengths.
constexpr std::size_t parts = 4;
class segment_refusal_of_lengths : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(parts, segment_refusal_of_lengths,
                         ::testing::Range(std::size_t{0}, parts));

TEST_P(segment_refusal_of_lengths, truncated_to_any) {
  const test_name name;
  { segment::create(name, few_of_everything()).find_or_construct<int>("answer", 42); }
  const segment_file file(name.path());
  const std::vector<unsigned char> whole = file.read();
  std::size_t tried = 0;
  for (std::size_t length = whole.size(); length-- > 0;) {
    if (length % parts != GetParam()) continue;
    ++tried;
    file.resize(length);
    try {
      (void)segment::open(name);
      FAIL() << "opened with " << length << " of " << whole.size() << " bytes";
    } catch (const std::system_error& error) {
      ASSERT_EQ(error.code(), errc::damaged) << length << ": " << error.what();
      const std::string found = ": found a file of " + std::to_string(length) + " bytes, expected ";
      ASSERT_NE(std::string(error.what()).find(name.quoted() + found), std::string::npos)
          << error.what();
    }
  }
  EXPECT_EQ(tried, whole.size() / parts);
  file.write(whole);
  EXPECT_EQ(*segment::open(name).find<int>("answer"), 42);
}

TEST(segment_refusal, longer_than_its_header_says) {
  const test_name name;
  { const segment made = segment::create(name, few_of_everything()); }
  const segment_file file(name.path());
  const std::size_t right = file.size();
  for (const std::size_t more : {std::size_t{1}, std::size_t{4096}, std::size_t{1} << 30}) {
    file.resize(right + more);
    expect_error(
        errc::damaged,
        {"found a file of " + std::to_string(right + more), "expected " + std::to_string(right)},
        [&] { (void)segment::open(name); });
  }
}

// A look through a mapping would fill the hole: the file would grow, and on a full /dev/shm the
// process would die of SIGBUS.
TEST(segment_refusal, a_file_with_holes_is_refused_and_does_not_grow) {
  const test_name name;
  { segment::create(name).find_or_construct<int>("answer", 42); }
  const segment_view before = segment_view::open(name);
  const segment_file file(name.path());
  const auto blocks = [&] {
    struct stat info {};
    EXPECT_EQ(::fstat(file.fd(), &info), 0);
    return info.st_blocks;
  };
  const auto size = static_cast<off_t>(file.size());
  for (const off_t at : {size / 2 / 4096 * 4096, off_t{8192}}) {
    ASSERT_EQ(::fallocate(file.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
                          at == 8192 ? size - at : 4096),
              0);
    const auto holed = blocks();
    const auto expect_holes = [&](const std::function<void()>& act) {
      expect_error(errc::damaged,
                   {"found a file with holes", std::to_string(holed * 512),
                    "expected " + std::to_string(size)},
                   act);
    };
    expect_holes([&] { (void)segment::open(name); });
    expect_holes([&] { (void)segment::from_fd(file.fd()); });
    expect_holes([&] { (void)segment_view::open(name); });
    expect_holes([&] { (void)before.problems(); });
    expect_holes([&] { (void)before.locks(); });
    EXPECT_EQ(blocks(), holed);
  }
}

TEST(segment_refusal, zeros_and_noise_of_the_right_length) {
  const test_name name;
  { const segment made = segment::create(name, few_of_everything()); }
  const segment_file file(name.path());
  file.write(std::vector<unsigned char>(file.size(), 0));
  expect_error(errc::damaged, {"found magic 0x0"}, [&] { (void)segment::open(name); });
  file.write(std::vector<unsigned char>(file.size(), 0xa5));
  expect_error(errc::damaged, {"found magic 0xa5a5a5a5a5a5a5a5"},
               [&] { (void)segment::open(name); });
}

// A copy holds the thread ids of the original's life: who waits for them waits for others (hazard
// A22).
TEST(segment_refusal, a_copy_of_a_segment) {
  const test_name name;
  const test_name other;
  { const segment made = segment::create(name, few_of_everything()); }
  const std::vector<unsigned char> bytes = segment_file(name.path()).read();
  ASSERT_EQ(::close(::open(other.path().c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600)), 0);
  segment_file(other.path()).write(bytes);
  expect_error(errc::damaged,
               {other.quoted(), "found a copy, made from the " + name.quoted(),
                "expected the segment itself"},
               [&] { (void)segment::open(other); });
  expect_error(errc::damaged, {other.quoted(), "found a copy"},
               [&] { (void)segment::open_or_create(other); });
  segment_file(other.path()).become_original();
  EXPECT_EQ(segment::open(other).name(), segment::open(name).name())
      << "but for its inode it was a segment";
}

// Put back under the same name, it is still a copy.
TEST(segment_refusal, a_copy_in_the_place_of_the_original) {
  const test_name name;
  { const segment made = segment::create(name, few_of_everything()); }
  const segment_file original(name.path());  // keeps its inode from being used again
  ASSERT_EQ(::unlink(name.path().c_str()), 0);
  ASSERT_EQ(::close(::open(name.path().c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600)), 0);
  segment_file(name.path()).write(original.read());
  expect_error(errc::damaged, {name.quoted(), "found a copy"}, [&] { (void)segment::open(name); });
}

TEST(segment_refusal, a_symbolic_link) {
  const test_name target;
  const test_name name;
  const segment made = segment::create(target);
  ASSERT_EQ(::symlink(target.path().c_str(), name.path().c_str()), 0);
  expect_error(errc::damaged, {name.quoted(), "found a symbolic link", "expected a segment"},
               [&] { (void)segment::open(name); });
}

// Whoever may write into /dev/shm can make one of these: nobody may wait for the other end of a
// FIFO.
TEST(segment_refusal, what_is_no_regular_file) {
  const test_name name;
  const auto expect_kind = [&](const char* kind) {
    const std::string found = std::string("found ") + kind;
    for (const auto& act : std::initializer_list<std::function<void()>>{
             [&] { (void)segment::open(name); }, [&] { (void)segment::open_or_create(name); },
             [&] { (void)segment_view::open(name); }}) {
      child opener("opener", [&](agent&) {
        expect_error(errc::damaged, {name.quoted(), found, "expected a segment"}, act);
      });
      opener.expect_exit();  // in time
    }
    ASSERT_EQ(::remove(name.path().c_str()), 0);
  };
  ASSERT_EQ(::mkfifo(name.path().c_str(), 0600), 0);
  expect_kind("a FIFO");
  ASSERT_EQ(::mkfifo(name.path().c_str(), 0), 0);
  expect_kind("a FIFO");
  ASSERT_EQ(::mkdir(name.path().c_str(), 0700), 0);
  expect_kind("a directory");
  ASSERT_EQ(::symlink("/dev/null", name.path().c_str()), 0);
  expect_kind("a symbolic link");
  const unique_fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.path().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  expect_kind("a socket");
  const unique_fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  expect_error(
      errc::damaged,
      {"file descriptor " + std::to_string(null.get()), "found a device", "expected a segment"},
      [&] { (void)segment::from_fd(null.get()); });
}

TEST(segment_refusal, descriptors_that_are_no_segment) {
  expect_error(std::make_error_code(std::errc::bad_file_descriptor), {"file descriptor -1"},
               [] { (void)segment::from_fd(-1); });
  // Not sealed, so that it can shrink under a user's feet: none that outlive made.
  const unique_fd foreign(::memfd_create("foreign", MFD_CLOEXEC));
  expect_error(errc::writable_by_others, {"file descriptor ", "found mode 0777"},
               [&] { (void)segment::from_fd(foreign.get()); });
  const unique_fd empty(::memfd_create("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::fcntl(empty.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
  expect_error(errc::damaged, {"file descriptor ", "found a file of 0 bytes"},
               [&] { (void)segment::from_fd(empty.get()); });
}

TEST(segment_refusal, a_file_that_more_may_write_than_expected) {
  const test_name name;
  const segment made = segment::create(name);
  for (const unsigned mode : {0620U, 0602U, 0622U, 0660U, 0666U}) {
    ASSERT_EQ(::chmod(name.path().c_str(), mode), 0);
    char found[8];
    std::snprintf(found, sizeof found, "%04o", mode);
    expect_error(errc::writable_by_others,
                 {name.quoted(), std::string("found mode ") + found, "beyond mode 0600"},
                 [&] { (void)segment::open(name); });
  }
  // Said so, it is fine; and readers do no harm.
  segment_options options;
  options.mode = 0666;
  EXPECT_EQ(segment::open(name, options).base(), made.base());
  ASSERT_EQ(::chmod(name.path().c_str(), 0644), 0);
  EXPECT_EQ(segment::open(name).base(), made.base());
}

}  // namespace
}  // namespace outlive::testing
