// What tests of segments share: names of their own, the bytes of a segment's file, and checks of an
// error's code and message.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <outlive/error.hpp>
#include <outlive/segment.hpp>

#include "format/hash.hpp"
#include "format/layout.hpp"
#include "support/child.hpp"

namespace outlive::testing {

/// A segment name that no other test has. The segment is gone when this ends, whoever made it.
class test_name {
 public:
  test_name()
      : text_("test-" + std::to_string(getpid()) + "-" + std::to_string(next())), owner_(getpid()) {
    segment::unlink(text_);
  }
  ~test_name() {
    if (getpid() == owner_) ::unlink(path().c_str());
  }
  test_name(const test_name&) = delete;
  test_name& operator=(const test_name&) = delete;

  operator const std::string&() const { return text_; }
  operator std::string_view() const { return text_; }
  std::string path() const { return "/dev/shm/outlive." + text_; }
  /// As messages write it.
  std::string quoted() const { return "segment \"" + text_ + '"'; }

 private:
  static unsigned next() {
    static std::atomic<unsigned> count{0};
    return ++count;
  }
  std::string text_;
  pid_t owner_;
};

/// Options of the smallest segment that has a few of everything: for tests that try each byte.
inline segment_options few_of_everything() {
  segment_options options;
  options.size = 4096;
  options.directory_capacity = 16;
  options.threads = 2;
  options.participants = 2;
  options.max_held = 4;
  options.lock_classes = 9;
  return options;
}

/// The error that `act` throws must have this code, and all of these words in its message. Each
/// message of outlive says what was found and what was expected.
inline void expect_error(std::error_code code, std::initializer_list<std::string_view> words,
                         const std::function<void()>& act, source_line at = source_line::here()) {
  const ::testing::ScopedTrace trace(at.file, at.line, "expect_error");
  try {
    act();
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    const std::string_view message = error.what();
    for (const std::string_view word : words) {
      EXPECT_NE(message.find(word), std::string_view::npos)
          << "no '" << word << "' in: " << message;
    }
    if (code.category() == error_category()) {
      EXPECT_NE(message.find(" found "), std::string_view::npos)
          << "does not say what was found: " << message;
      EXPECT_NE(message.find(" expected "), std::string_view::npos)
          << "does not say what was expected: " << message;
    }
    return;
  } catch (const std::exception& other) {
    ADD_FAILURE() << "expected a std::system_error, found: " << other.what();
    return;
  }
  ADD_FAILURE() << "expected an error: " << code.message() << "; found none";
}

/// Runs `act` in a child that the kernel kills at any system call but its end.
inline void expect_no_system_call(const std::function<void()>& act,
                                  source_line at = source_line::here()) {
  child strict("strict", [&](agent&) {
    act();  // once ahead: a first use claims a thread record, and memory
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
      throw std::system_error(errno, std::generic_category(), "seccomp");
    for (int i = 0; i < 100; ++i) act();
    ::syscall(SYS_exit, 7);
  });
  strict.expect_exit(7, at);
}

/// The bytes of a segment's file, to be damaged.
class segment_file {
 public:
  explicit segment_file(const std::string& path)
      : path_(path), fd_(::open(path.c_str(), O_RDWR | O_CLOEXEC)) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), path);
  }
  ~segment_file() { ::close(fd_); }
  segment_file(const segment_file&) = delete;
  segment_file& operator=(const segment_file&) = delete;

  int fd() const { return fd_; }
  std::size_t size() const {
    struct stat info {};
    check(::fstat(fd_, &info));
    return static_cast<std::size_t>(info.st_size);
  }
  std::vector<unsigned char> read() const {
    std::vector<unsigned char> bytes(size());
    if (::pread(fd_, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
      check(-1);
    return bytes;
  }
  void write(const std::vector<unsigned char>& bytes, std::size_t at = 0) const {
    write(bytes.data(), bytes.size(), at);
  }
  void write(const void* bytes, std::size_t size, std::size_t at) const {
    if (::pwrite(fd_, bytes, size, static_cast<off_t>(at)) != static_cast<ssize_t>(size)) check(-1);
  }
  void resize(std::size_t size) const { check(::ftruncate(fd_, static_cast<off_t>(size))); }

  detail::segment_constants constants() const {
    detail::segment_constants found{};
    if (::pread(fd_, &found, sizeof found, 0) != static_cast<ssize_t>(sizeof found)) check(-1);
    return found;
  }
  /// Writes constants as a maker of segments would: with a checksum that fits.
  void write(detail::segment_constants constants) const {
    constants.checksum = detail::hash_bytes(
        &constants, offsetof(detail::segment_constants, checksum), detail::segment_magic);
    write(&constants, sizeof constants, 0);
  }
  /// Makes a whole segment of its own out of a copy.
  void become_original() const {
    struct stat info {};
    check(::fstat(fd_, &info));
    detail::segment_constants made = constants();
    made.inode = info.st_ino;
    write(made);
  }

 private:
  void check(int rc) const {
    if (rc != 0) throw std::system_error(errno, std::generic_category(), path_);
  }
  std::string path_;
  int fd_;
};

}  // namespace outlive::testing
