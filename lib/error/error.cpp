#include <outlive/error.hpp>

#include <cstddef>
#include <new>

#include "sys/at_load.hpp"

namespace outlive {

namespace {

const char* text_of(errc code) noexcept {
  switch (code) {
    case errc::invalid_name: return "invalid name";
    case errc::not_found: return "not found";
    case errc::already_exists: return "already exists";
    case errc::damaged: return "damaged";
    case errc::version_mismatch: return "other format version";
    case errc::abi_mismatch: return "other ABI";
    case errc::wrong_owner: return "belongs to another user";
    case errc::writable_by_others: return "writable by others";
    case errc::wrong_pid_namespace: return "made in another PID namespace";
    case errc::no_space: return "no space";
    case errc::type_mismatch: return "other type";
    case errc::directory_full: return "directory full";
    case errc::in_use: return "in use";
    case errc::too_many_threads: return "too many threads";
    case errc::too_many_participants: return "too many participants";
    case errc::no_robust_list: return "the kernel keeps no robust list of this thread";
    case errc::not_in_segment: return "robust mutex outside of any segment";
    case errc::too_many_locks: return "this thread holds too many mutexes";
    case errc::deadlock: return "this thread holds the mutex already";
    case errc::not_owner: return "this thread does not hold the mutex";
    case errc::in_repair: return "not allowed inside a repair";
    case errc::no_membarrier: return "the system call membarrier is not allowed";
    case errc::owner_died_unrepaired: return "the owner died, and this process has no repair";
    case errc::not_recoverable: return "not recoverable: the attempts to repair it are used up";
    case errc::repair_failed: return "the owner died, and the repair failed";
    case errc::forked_in_repair: return "child of a fork in a repair: the mutex is its parent's";
    case errc::already_registered: return "a repair is registered already";
    case errc::options_differ: return "has other options";
    case errc::second_copy: return "open in another copy of the library";
    case errc::no_proc: return "/proc is not readable";
    case errc::wrong_file_system: return "not on a tmpfs";
    case errc::queue_closed: return "the work queue is closed";
    case errc::lease_expired: return "the lease was over, and the job handed out again";
  }
  return "unknown error of outlive";
}

class category_of_outlive final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "outlive"; }
  [[nodiscard]] std::string message(int code) const override {
    return text_of(static_cast<errc>(code));
  }
};

}  // namespace

const std::error_category& error_category() noexcept {
  // Never destroyed, because errors may outlive static destruction. Not on the heap, because an
  // heir asks for it while it has a mutex.
  alignas(category_of_outlive) static std::byte room[sizeof(category_of_outlive)];
  static const auto& instance = *::new (static_cast<void*>(room)) category_of_outlive;
  return instance;
}

namespace {

const detail::made_at_load category([] { (void)error_category(); });

}  // namespace

}  // namespace outlive
