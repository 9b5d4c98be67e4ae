// What a crash and a stack look like in words.
#include <gtest/gtest.h>
#include <signal.h>

#include <outlive/crash_report.hpp>
#include <outlive/thread_stack.hpp>

namespace {

TEST(crash_report, fault_names_signal_reason_and_address) {
  const outlive::crash_report crash{
      .signal = SIGSEGV, .code = SEGV_MAPERR, .address = 0x10, .nested = false, .frames = {}};
  EXPECT_EQ(to_string(crash), "SIGSEGV (address not mapped) at 0x10");
}

TEST(crash_report, null_is_an_address) {
  const outlive::crash_report crash{
      .signal = SIGSEGV, .code = SEGV_MAPERR, .address = 0, .nested = false, .frames = {}};
  EXPECT_EQ(to_string(crash), "SIGSEGV (address not mapped) at 0x0");
}

TEST(crash_report, fault_whose_address_the_processor_keeps_to_itself) {
  const outlive::crash_report crash{
      .signal = SIGSEGV, .code = SI_KERNEL, .address = 0, .nested = false, .frames = {}};
  EXPECT_EQ(to_string(crash), "SIGSEGV (no address reported)");
}

TEST(crash_report, sent_signal_has_no_address) {
  const outlive::crash_report crash{
      .signal = SIGABRT, .code = SI_TKILL, .address = 0x1234, .nested = false, .frames = {}};
  EXPECT_EQ(to_string(crash), "SIGABRT (raised by the process itself)");
}

TEST(crash_report, second_crash_is_told) {
  const outlive::crash_report crash{
      .signal = SIGBUS, .code = BUS_ADRERR, .address = 0x20, .nested = true, .frames = {}};
  EXPECT_EQ(
      to_string(crash),
      "SIGBUS (no memory behind the address) at 0x20, and crashed again while that was recorded");
}

TEST(crash_report, unknown_signal_and_reason_are_no_names) {
  const outlive::crash_report crash{
      .signal = 9999, .code = 77, .address = 0, .nested = false, .frames = {}};
  EXPECT_EQ(to_string(crash), "signal 9999");
}

TEST(thread_stack, frame_tells_what_is_known) {
  outlive::stack_frame frame{.address = 0x5000,
                             .offset = 0,
                             .module = {},
                             .function = {},
                             .function_offset = 0,
                             .build_id = {}};
  EXPECT_EQ(to_string(frame), "0x5000");
  frame.module = "/usr/bin/worker";
  frame.offset = 0x100;
  EXPECT_EQ(to_string(frame), "/usr/bin/worker+0x100");
  frame.function = "work";
  frame.function_offset = 0x20;
  EXPECT_EQ(to_string(frame), "work+0x20 (/usr/bin/worker+0x100)");
}

TEST(thread_stack, each_frame_has_a_line_and_a_problem_one_of_its_own) {
  outlive::thread_stack stack;
  stack.frames.resize(2);
  stack.frames[0].address = 0x10;
  stack.frames[1].address = 0x20;
  EXPECT_EQ(to_string(stack), "#0 0x10\n#1 0x20\n");
  EXPECT_EQ(to_string(outlive::thread_stack{.frames = {}, .problem = "thread 7 is gone"}),
            "thread 7 is gone\n");
}

}  // namespace
