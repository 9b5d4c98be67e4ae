// A static that is made at its first use is lost to the child of a fork in the middle of that: the
// thread that makes it is not there, and the child waits for it for ever. So no call of the library
// may make one: all are made when it is loaded.
#include <outlive/guarded.hpp>
#include <outlive/recover.hpp>
#include <outlive/repair.hpp>
#include <outlive/segment.hpp>

#include <cxxabi.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>

#include "support/code_address.hpp"
#include "unit/robust_mutex_fixture.hpp"

namespace {

bool watched = false;
std::size_t begun = 0;
std::array<std::uintptr_t, 64> begun_at{};  // who asked

}  // namespace

// In the place of libstdc++'s, for this program: the compiler calls it for a static whose first
// byte does not say that it is made.
namespace __cxxabiv1 {

extern "C" int __cxa_guard_acquire(__guard* guard) {
  if (*reinterpret_cast<char*>(guard) != 0) return 0;
  if (watched && begun < begun_at.size())
    begun_at[begun++] = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  return 1;
}

extern "C" void __cxa_guard_release(__guard* guard) noexcept {
  *reinterpret_cast<char*>(guard) = 1;
}

extern "C" void __cxa_guard_abort(__guard*) noexcept {}

}  // namespace __cxxabiv1

namespace outlive::testing {
namespace {

struct account {
  int balance = 0;
};

/// The whole of the public interface, but for what needs another process.
void use_everything() {
  segment seg = segment::anonymous(few_of_everything());
  auto& mutex = seg.find_or_construct<robust_mutex>("mutex", "class");
  auto& guarded_account = seg.find_or_construct<guarded<account>>("account", "accounts");
  const auto for_class = on_owner_death(seg, "class", always_consistent);
  const auto for_accounts = on_owner_death<account>(
      seg, "accounts", [](account&, const owner_death&) { return repaired; });
  elsewhere([&] {
    mutex.lock();
    seg.find<guarded<account>>("account")->mutex().lock();
  });
  (void)recover(seg);
  mutex.lock();
  (void)guarded_account.try_lock();
  elsewhere([&] { (void)mutex.try_lock_for(milliseconds(1)); });
  mutex.unlock();
  std::error_code error;
  mutex.unlock(error);
  (void)error.message();
  (void)seg.destroy<int>("nothing");
}

TEST(first_use_fork, no_static_is_made_by_a_call) {
  watched = true;
  use_everything();
  watched = false;
  for (std::size_t i = 0; i < begun; ++i)
    ADD_FAILURE() << "a static is made at " << describe_address(begun_at[i]);
}

}  // namespace
}  // namespace outlive::testing
