// What was to happen at a signal before the recorder came, happens: handlers with their mask and
// arguments, ignoring, the default.
#include <setjmp.h>

#include "crash/dying.hpp"

namespace outlive::testing {
namespace {

struct former_handlers : crash_test {};

// What a handler saw; in shared memory.
struct seen {
  std::atomic<int> calls{0};
  std::atomic<int> signal{0};
  std::atomic<int> code{0};
  std::atomic<void*> address{nullptr};
  std::atomic<bool> has_context{false};
  std::atomic<bool> blocked_itself{false};
  std::atomic<bool> blocked_usr1{false};
  std::atomic<bool> blocked_usr2{false};
};
seen* what = nullptr;

void look(int number, siginfo_t* info, void* context) {
  ++what->calls;
  what->signal = number;
  what->code = info->si_code;
  what->address = info->si_addr;
  what->has_context = context != nullptr;
  sigset_t mask;
  sigprocmask(SIG_SETMASK, nullptr, &mask);
  what->blocked_itself = sigismember(&mask, number) == 1;
  what->blocked_usr1 = sigismember(&mask, SIGUSR1) == 1;
  what->blocked_usr2 = sigismember(&mask, SIGUSR2) == 1;
}

void install(int number, void (*handler)(int, siginfo_t*, void*), int flags = 0) {
  struct sigaction action {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  sigaddset(&action.sa_mask, SIGUSR1);
  ASSERT_EQ(sigaction(number, &action, nullptr), 0);
}

TEST_F(former_handlers, is_called_as_the_kernel_would_and_its_exit_counts) {
  shared_object<seen> shared;
  what = shared.get();
  child dying("dying", [&](agent&) {
    install(SIGSEGV, [](int number, siginfo_t* info, void* context) {
      look(number, info, context);
      _exit(7);
    });
    const crash_recorder recorder;
    mutex.lock();
    store_to_null();
  });
  dying.expect_exit(7);
  EXPECT_EQ(what->calls, 1);
  EXPECT_EQ(what->signal, SIGSEGV);
  EXPECT_EQ(what->code, SEGV_MAPERR);
  EXPECT_EQ(what->address, nullptr);
  EXPECT_TRUE(what->has_context);
  EXPECT_TRUE(what->blocked_itself);
  EXPECT_TRUE(what->blocked_usr1);
  EXPECT_FALSE(what->blocked_usr2);
  const auto told = inherit();
  ASSERT_TRUE(told.has_value());
  EXPECT_TRUE(names(*told, "store_to_null")) << text_of(*told);
}

char* page = nullptr;

// It mends what was wrong: the thread goes on, and its later death is not told as that crash.
TEST_F(former_handlers, mended_fault_leaves_no_note) {
  child dying("dying", [&](agent&) {
    page = static_cast<char*>(mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    install(SIGSEGV, [](int, siginfo_t*, void*) { mprotect(page, 4096, PROT_READ | PROT_WRITE); });
    const crash_recorder recorder;
    mutex.lock();
    *static_cast<volatile char*>(page) = 1;
    EXPECT_EQ(*page, 1);
    _exit(0);
  });
  dying.expect_exit(0);
  EXPECT_FALSE(inherit().has_value());
}

sigjmp_buf out;

TEST_F(former_handlers, thread_that_jumps_out_and_crashes_again_tells_the_second_crash) {
  child dying("dying", [&](agent&) {
    install(SIGSEGV, [](int, siginfo_t*, void*) { siglongjmp(out, 1); });
    const crash_recorder recorder;
    mutex.lock();
    if (sigsetjmp(out, 1) == 0) store_to_null();
    divide_by_zero();
  });
  dying.expect_killed(SIGFPE);
  const auto told = inherit();
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->signal, SIGFPE);
  EXPECT_FALSE(told->nested);
}

// As crash reporters do: they abort in the end. The first signal is the cause.
TEST_F(former_handlers, handler_that_aborts_leaves_the_first_crash_noted) {
  child dying("dying", [&](agent&) {
    install(SIGSEGV, [](int, siginfo_t*, void*) { std::abort(); });
    const crash_recorder recorder;
    mutex.lock();
    store_to_null();
  });
  dying.expect_killed(SIGABRT);
  const auto told = inherit();
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->signal, SIGSEGV);
  EXPECT_TRUE(told->nested);
  EXPECT_TRUE(names(*told, "store_to_null")) << text_of(*told);
}

TEST_F(former_handlers, handler_that_crashes_dies_as_without_us) {
  child dying("dying", [&](agent&) {
    install(SIGSEGV, [](int, siginfo_t*, void*) { store_to_null(); });
    const crash_recorder recorder;
    mutex.lock();
    store_to_null();
  });
  dying.expect_killed(SIGSEGV);
  const auto told = inherit();
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->signal, SIGSEGV);
}

TEST_F(former_handlers, old_style_handler_gets_the_number) {
  shared_object<seen> shared;
  what = shared.get();
  child dying("dying", [&](agent&) {
    ::signal(SIGABRT, [](int number) { what->signal = number; });
    const crash_recorder recorder;
    mutex.lock();
    std::abort();  // its handler returns: it dies all the same
  });
  dying.expect_killed(SIGABRT);
  EXPECT_EQ(what->signal, SIGABRT);
  const auto told = inherit();
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->signal, SIGABRT);
}

TEST_F(former_handlers, handler_for_one_time_is_called_once) {
  shared_object<seen> shared;
  what = shared.get();
  child dying("dying", [&](agent&) {
    install(SIGSEGV, look, static_cast<int>(SA_RESETHAND));
    const crash_recorder recorder;
    mutex.lock();
    store_to_null();  // the handler returns, it crashes again, and that kills
  });
  dying.expect_killed(SIGSEGV);
  EXPECT_EQ(what->calls, 1);
  EXPECT_TRUE(inherit().has_value());
}

TEST_F(former_handlers, ignored_signal_of_another_process_is_ignored) {
  child ignoring("ignoring", [&](agent& me) {
    ::signal(SIGFPE, SIG_IGN);
    const crash_recorder recorder;
    mutex.lock();
    me.tell("locked");
    me.await("end");
    _exit(0);
  });
  ignoring.wait_for("locked");
  ignoring.kill(SIGFPE);
  ignoring.tell("end");
  ignoring.expect_exit(0);
  EXPECT_FALSE(inherit().has_value());
}

TEST_F(former_handlers, ignored_fault_kills) {
  child dying("dying", [&](agent&) {
    ::signal(SIGSEGV, SIG_IGN);
    const crash_recorder recorder;
    mutex.lock();
    store_to_null();
  });
  dying.expect_killed(SIGSEGV);
  EXPECT_TRUE(inherit().has_value());
}

}  // namespace
}  // namespace outlive::testing
