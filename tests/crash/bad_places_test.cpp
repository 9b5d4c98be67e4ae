// Crashes where a recorder has it hard: with the dynamic loader's lock in hand, without the
// segment, in its own handler.
#include <link.h>
#include <sys/syscall.h>

#include <cerrno>

#include "crash/dying.hpp"
#include "support/forbidden_call.hpp"

namespace outlive::testing {
namespace {

struct bad_places : crash_test {};

[[gnu::noinline]] void overwrite_the_stack_and_crash() {
  volatile char* const here = static_cast<volatile char*>(__builtin_frame_address(0));
  for (int i = -16; i < 2048; ++i) here[i] = 0x5a;
  store_to_null();
}

TEST_F(bad_places, with_the_loaders_lock_in_hand) {
  crash_in_child(SIGSEGV, [] {
    dl_iterate_phdr(
        [](dl_phdr_info*, size_t, void*) {
          store_to_null();
          return 0;
        },
        nullptr);
  });
  const auto told = inherit();
  ASSERT_TRUE(told.has_value());
  EXPECT_TRUE(names(*told, "crash_in_child")) << text_of(*told);
}

// The handler crashes at its first store. The signal that was first is what the process dies of.
TEST_F(bad_places, without_the_segment) {
  crash_in_child(SIGABRT, [this] {
    mprotect(const_cast<void*>(seg.base()), seg.size_bytes(), PROT_NONE);
    give_up();
  });
  EXPECT_FALSE(inherit().has_value());
}

TEST_F(bad_places, where_memory_cannot_be_read_by_system_call) {
  crash_in_child(SIGSEGV, [] {
    forbid_call(SYS_process_vm_readv, EPERM);
    store_to_null();
  });
  const auto told = inherit();
  ASSERT_TRUE(told.has_value());
  EXPECT_FALSE(told->nested);
  EXPECT_TRUE(names(*told, "crash_in_child")) << text_of(*told);
}

TEST_F(bad_places, crash_in_the_handler_is_noted_and_the_first_one_kills) {
  crash_in_child(SIGFPE, [] {
    forbid_call(SYS_process_vm_readv, EPERM);
    // The stack pointer itself is wild: unwinding begins with a fault. It is one that an address
    // may have: with another the processor itself may fault before the division does.
    asm volatile(
        "mov $0x5a5a5a5a5a50, %%rbp\n"
        "mov $0x5a5a5a5a5a58, %%rsp\n"
        "xor %%ecx, %%ecx\n"
        "xor %%edx, %%edx\n"
        "mov $1, %%eax\n"
        "idiv %%ecx\n" ::
            : "rax", "rcx", "rdx", "cc", "memory");
  });
  const auto told = inherit();
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->signal, SIGFPE);
  EXPECT_TRUE(told->nested);
  EXPECT_EQ(told->frames.size(), 1U);
}

TEST_F(bad_places, overwritten_stack_and_no_system_call) {
  crash_in_child(SIGSEGV, [] {
    forbid_call(SYS_process_vm_readv, EPERM);
    overwrite_the_stack_and_crash();
  });
  const auto told = inherit();
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->signal, SIGSEGV);
  EXPECT_GE(told->frames.size(), 1U);
}

}  // namespace
}  // namespace outlive::testing
