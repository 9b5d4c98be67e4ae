// The log of `outlive supervise` on a file that takes nothing for a while.
#include "supervise/log_file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>

namespace supervise {
namespace {

constexpr std::size_t one_mebibyte = std::size_t{1} << 20;

class log_file_test : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(pipe2(ends_, O_CLOEXEC), 0); }
  void TearDown() override {
    log_.reset();
    for (const int end : ends_) close(end);
  }
  // Fills the pipe with zero bytes, so that nothing more goes into it.
  void fill() const {
    fcntl(ends_[1], F_SETFL, O_NONBLOCK);
    while (write(ends_[1], "", 1) == 1) {
    }
    fcntl(ends_[1], F_SETFL, 0);
  }
  // Reads until the text has come. Returns: all that was read, without the zero bytes.
  std::string read_until(const std::string& last) const {
    std::string all;
    while (all.find(last) == std::string::npos) {
      char bytes[65536];
      const ssize_t size = read(ends_[0], bytes, sizeof bytes);
      if (size <= 0) break;
      for (ssize_t i = 0; i < size; ++i) {
        if (bytes[i] != 0) all += bytes[i];
      }
    }
    return all;
  }

  int ends_[2] = {-1, -1};
  std::unique_ptr<log_file> log_;
};

TEST_F(log_file_test, a_reader_that_comes_late_gets_all_in_order) {
  fill();
  log_ = std::make_unique<log_file>(ends_[1], "the pipe");
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    log_->write(std::to_string(i) + "\n");
    expected += std::to_string(i) + "\n";
  }
  EXPECT_EQ(read_until("999\n"), expected);
}

TEST_F(log_file_test, what_does_not_fit_is_counted_and_the_rest_is_whole) {
  fill();
  log_ = std::make_unique<log_file>(ends_[1], "the pipe");
  const std::string text(1023, 'x');
  constexpr std::size_t written = 2 * one_mebibyte / 1024;
  for (std::size_t i = 0; i < written; ++i) log_->write(text + "\n");
  const std::string all = read_until(" did not take them\n");
  const std::size_t whole = all.find_first_not_of("x\n") / 1024;
  EXPECT_GE(whole, one_mebibyte / 1024);
  EXPECT_LE(whole, one_mebibyte / 1024 + 1) << "the thread had one";
  EXPECT_EQ(all.substr(whole * 1024), std::to_string(written - whole) +
                                          " lines or more are missing here: the pipe did not take "
                                          "them\n");
  log_->write("it goes on\n");
  EXPECT_EQ(read_until("on\n"), "it goes on\n");
}

TEST_F(log_file_test, an_error_is_reported_once_until_it_is_over) {
  int messages_ends[2];
  ASSERT_EQ(pipe2(messages_ends, O_CLOEXEC | O_NONBLOCK), 0);
  {
    const log_file messages(messages_ends[1], "messages");
    const log_file broken(-1, "the file", &messages);
    broken.write("one\n");
    broken.write("two\n");
  }
  char bytes[4096];
  const ssize_t size = read(messages_ends[0], bytes, sizeof bytes);
  ASSERT_GT(size, 0);
  const std::string said(bytes, static_cast<std::size_t>(size));
  EXPECT_EQ(said.find("the file: Bad file descriptor; "), said.find("the file"));
  EXPECT_EQ(said.find('\n'), said.size() - 1) << said;
  for (const int end : messages_ends) close(end);
}

TEST_F(log_file_test, its_end_does_not_wait_for_a_reader_that_does_not_read) {
  fill();
  log_ = std::make_unique<log_file>(ends_[1], "the pipe");
  log_->write("nobody reads this\n");
  log_.reset();
}

}  // namespace
}  // namespace supervise
