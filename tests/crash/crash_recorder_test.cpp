// Whoever crashes inside a mutex tells the heir: each signal, each kind of thread, the end of a
// stack, a crash in the handler.
#include <sys/resource.h>
#include <sys/wait.h>

#include "crash/dying.hpp"
#include "support/death.hpp"

namespace outlive::testing {
namespace {

struct crash_recorder_test : crash_test {
  void expect_crash(int signal, std::string_view function, const std::function<void()>& act) {
    crash_in_child(signal, act);
    const auto told = inherit();
    ASSERT_TRUE(told.has_value());
    EXPECT_EQ(told->signal, signal);
    EXPECT_FALSE(told->nested);
    EXPECT_TRUE(names(*told, function)) << text_of(*told);
    EXPECT_TRUE(names(*told, "crash_in_child")) << text_of(*told);
  }
};

TEST_F(crash_recorder_test, stacks_are_told_here) {
  EXPECT_EQ(crash_recorder::problem(), "");
}

TEST_F(crash_recorder_test, segmentation_fault) {
  expect_crash(SIGSEGV, "store_to_null", store_to_null);
  EXPECT_EQ(death_log(seg).back().crash->code, SEGV_MAPERR);
}

TEST_F(crash_recorder_test, bus_error) {
  expect_crash(SIGBUS, "touch_behind_the_end_of_a_file", touch_behind_the_end_of_a_file);
  EXPECT_NE(death_log(seg).back().crash->address, 0U);
}

TEST_F(crash_recorder_test, illegal_instruction) {
  expect_crash(SIGILL, "run_no_instruction", run_no_instruction);
}

#if defined(__x86_64__)
// A stack at a multiple of 4, which words of unwinding stand at on aarch64, too.
asm(R"(
  .pushsection .text
  .type stop_on_an_odd_stack, @function
stop_on_an_odd_stack:
  .cfi_startproc
  ud2
  .cfi_endproc
  .size stop_on_an_odd_stack, . - stop_on_an_odd_stack
  .globl call_on_an_odd_stack
  .type call_on_an_odd_stack, @function
call_on_an_odd_stack:
  .cfi_startproc
  sub $12, %rsp
  .cfi_adjust_cfa_offset 12
  call stop_on_an_odd_stack
  add $12, %rsp
  .cfi_adjust_cfa_offset -12
  ret
  .cfi_endproc
  .size call_on_an_odd_stack, . - call_on_an_odd_stack
  .popsection
)");
extern "C" void call_on_an_odd_stack();

TEST_F(crash_recorder_test, stack_at_a_multiple_of_4_is_told_whole) {
  expect_crash(SIGILL, "call_on_an_odd_stack", call_on_an_odd_stack);
}
#endif

TEST_F(crash_recorder_test, division_by_zero) {
  expect_crash(SIGFPE, "divide_by_zero", divide_by_zero);
}

TEST_F(crash_recorder_test, abort) {
  expect_crash(SIGABRT, "give_up", give_up);
}

TEST_F(crash_recorder_test, call_of_nothing_tells_the_caller) {
  expect_crash(SIGSEGV, "call_nowhere", call_nowhere);
  const auto crash = death_log(seg).back().crash;
  EXPECT_EQ(crash->frames[0].address, 0U);
}

TEST_F(crash_recorder_test, signal_from_another_process) {
  child dying("dying", [&](agent& me) {
    const crash_recorder recorder;
    mutex.lock();
    me.tell("locked");
    me.pause_forever();
  });
  dying.wait_for("locked");
  dying.kill(SIGSEGV);
  dying.expect_killed(SIGSEGV);
  const auto told = inherit();
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->signal, SIGSEGV);
  EXPECT_EQ(told->code, SI_USER);
  EXPECT_EQ(told->address, 0U);
}

TEST_F(crash_recorder_test, thread_that_was_started_later) {
  child dying("dying", [&](agent&) {
    const crash_recorder recorder;
    std::thread([&] {
      mutex.lock();
      store_to_null();
    }).join();
  });
  dying.expect_killed(SIGSEGV);
  const auto told = inherit();
  ASSERT_TRUE(told.has_value());
  EXPECT_TRUE(names(*told, "store_to_null")) << text_of(*told);
}

TEST_F(crash_recorder_test, end_of_the_main_threads_stack) {
  crash_in_child(SIGSEGV, [] {
    const rlimit small{256 * 1024, 256 * 1024};
    setrlimit(RLIMIT_STACK, &small);
    use_up_the_stack(nullptr);
  });
  const auto told = inherit();
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->frames.size(), 32U);
  EXPECT_TRUE(names(*told, "use_up_the_stack")) << text_of(*told);
}

// The recorder was there before the thread: its alternate stack comes with its first lock.
TEST_F(crash_recorder_test, end_of_a_later_threads_stack) {
  child dying("dying", [&](agent&) {
    const crash_recorder recorder;
    std::thread([&] {
      mutex.lock();
      use_up_the_stack(nullptr);
    }).join();
  });
  dying.expect_killed(SIGSEGV);
  const auto told = inherit();
  ASSERT_TRUE(told.has_value());
  EXPECT_TRUE(names(*told, "use_up_the_stack")) << text_of(*told);
}

// It had its record before there was a recorder.
TEST_F(crash_recorder_test, former_thread_asks_for_its_stack) {
  child dying("dying", [&](agent&) {
    shared_value<int> step;
    std::thread thread([&] {
      mutex.lock();
      step.store(1);
      step.wait_equal(2);
      crash_recorder::this_thread();
      use_up_the_stack(nullptr);
    });
    step.wait_equal(1);
    const crash_recorder recorder;
    step.store(2);
    thread.join();
  });
  dying.expect_killed(SIGSEGV);
  ASSERT_TRUE(inherit().has_value());
}

TEST_F(crash_recorder_test, child_of_a_process_with_a_recorder_tells_of_itself) {
  const crash_recorder recorder;
  mutex.lock();
  mutex.unlock();
  child dying("dying", [&](agent&) {
    mutex.lock();
    store_to_null();
  });
  dying.expect_killed(SIGSEGV);
  const auto told = inherit();
  ASSERT_TRUE(told.has_value());
  EXPECT_TRUE(names(*told, "store_to_null")) << text_of(*told);
}

TEST_F(crash_recorder_test, child_that_has_not_locked_dies_without_a_note_in_its_parents_record) {
  const crash_recorder recorder;
  mutex.lock();
  child dying("dying", [](agent&) { store_to_null(); });
  dying.expect_killed(SIGSEGV);
  mutex.unlock();
  child later("later", [&](agent&) {
    mutex.lock();
    _exit(0);
  });
  later.expect_exit(0);
  EXPECT_FALSE(inherit().has_value());
}

TEST_F(crash_recorder_test, process_without_a_segment_crashes_as_it_would_without_us) {
  child dying("dying", [](agent&) {
    const crash_recorder recorder;
    store_to_null();
  });
  dying.expect_killed(SIGSEGV);
}

TEST_F(crash_recorder_test, overwritten_stack_costs_no_more_than_frames) {
  crash_in_child(SIGSEGV, [] {
    // The frame of this function, and what is above it, is garbage; so is what the frame pointer
    // says.
    volatile char* const here = static_cast<volatile char*>(__builtin_frame_address(0));
    for (int i = -64; i < 2048; ++i) here[i] = 0x5a;
    store_to_null();
  });
  const auto told = inherit();
  ASSERT_TRUE(told.has_value());
  EXPECT_GE(told->frames.size(), 1U);
}

TEST_F(crash_recorder_test, after_the_last_recorder_nothing_is_noted) {
  child dying("dying", [&](agent&) {
    {
      const crash_recorder recorder;
      const crash_recorder second;
      mutex.lock();
    }
    struct sigaction now {};
    sigaction(SIGSEGV, nullptr, &now);
    EXPECT_EQ(now.sa_handler, SIG_DFL);
    store_to_null();
  });
  dying.expect_killed(SIGSEGV);
  EXPECT_FALSE(inherit().has_value());
}

TEST_F(crash_recorder_test, one_recorder_of_two_is_enough) {
  child dying("dying", [&](agent&) {
    const crash_recorder recorder;
    { const crash_recorder second; }
    mutex.lock();
    store_to_null();
  });
  dying.expect_killed(SIGSEGV);
  EXPECT_TRUE(inherit().has_value());
}

}  // namespace
}  // namespace outlive::testing
