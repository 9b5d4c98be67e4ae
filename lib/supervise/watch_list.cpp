#include "supervise/watch_list.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "format/shared_copy.hpp"
#include "records/participants.hpp"
#include "sys/process.hpp"

namespace outlive::detail {

std::vector<std::uint64_t> watch_list::refresh() {
  ++rounds_;
  for (std::uint32_t slot = 0; slot < map_.constants().participants; ++slot) {
    const std::uint64_t identity =
        map_.participant_at(slot).identity.load(std::memory_order_acquire);
    if (participants::pid_in(identity) > 0 && participants::pid_in(identity) != current_pid())
      add(identity, slot);
  }
  std::vector<std::uint64_t> found;
  bool is_complete = true;
  for (auto& [identity, process] : all_) {
    if (process.handled) continue;
    // if it is not ours, the number may name any file, which poll() would call ended
    if (!process.handle.is_ours()) process.handle = {};
    // Its slot became another's: so it has ended. Without a handle nothing else says so.
    if (process.round != rounds_ && !process.handle && !process.is_child) process.ended = true;
    if (!process.ended && !process.handle) get_handle(process, identity);
    if (process.handle && process_handle::has_ended(process.handle.get())) process.ended = true;
    if (process.ended) found.push_back(identity);
    is_complete = is_complete && (process.ended || process.handle);
  }
  if (is_complete) reserve_reported_ = false;
  std::erase_if(
      all_, [&](const auto& each) { return each.second.round != rounds_ && each.second.handled; });
  return found;
}

void watch_list::add(std::uint64_t identity, std::uint32_t slot) {
  const auto [at, is_new] = all_.try_emplace(identity);
  watched_process& process = at->second;
  process.round = rounds_;
  process.slot = slot;
  if (!is_new) return;
  process.identity = identity;
  process.pid = participants::pid_in(identity);
  describe(process, identity);
  get_handle(process, identity);
  process.ended_before = process.ended && rounds_ == 1;
}

void watch_list::add_child(pid_t pid) {
  int error = 0;
  const file_descriptor handle = process_handle::open(pid, error);
  if (!handle && error != ESRCH && error != EINVAL) {
    throw std::system_error(
        error, std::generic_category(),
        map_.describe() + ", pid " + std::to_string(pid) +
            ": found no descriptor for it, expected one that is free (RLIMIT_NOFILE, ulimit -n)");
  }
  if (!handle || !process_handle::is_child(handle.get())) {
    throw std::system_error(
        ECHILD, std::generic_category(),
        map_.describe() + ", pid " + std::to_string(pid) +
            ": found no child of this process, expected one that was not waited for yet (call it "
            "right after fork(), and do not ignore SIGCHLD)");
  }
  // It is not reaped yet, so its number is no other process's.
  const std::uint64_t start_time = start_time_of(pid);
  const std::uint64_t identity = participants::identity_of(pid, start_time);
  const auto [at, is_new] = all_.try_emplace(identity);
  watched_process& process = at->second;
  process.is_child = true;
  if (!is_new) return;
  process.identity = identity;
  process.pid = pid;
  process.start_time = start_time;
  process.command = command_name_of(pid).data();
  get_handle(process, identity);
}

// The handle first, then the start time. It shows whether the pid was another process's by then.
void watch_list::get_handle(watched_process& process, std::uint64_t identity) {
  int error = 0;
  file_descriptor handle = process_handle::open(process.pid, error);
  const bool reused = participants::is_reused(identity);
  // Without descriptors /proc does not say that a child is a zombie, but waitid() does.
  const bool is_zombie =
      !handle && process.is_child && process_handle::end_of_child_by_pid(process.pid, false);
  process.ended =
      reused || error == ESRCH || is_zombie ||
      (handle ? process_handle::has_ended(handle.get()) : !participants::is_alive(identity));
  if (reused) return;
  try {
    if (!handle) throw std::system_error(error, std::generic_category(), "pidfd_open");
    if (!process.ended) {
      if (is_in_reserve(handle.get())) throw std::system_error(EMFILE, std::generic_category());
      events_.add(handle.get(), identity);
    }
    process.handle = std::move(handle);
  } catch (const std::system_error& failure) {
    if (!process.ended) report_without_handle(process, failure);
  }
}

// A lack of descriptors is one failure, however many processes it leaves to the sweeps.
void watch_list::report_without_handle(watched_process& process, const std::system_error& failure) {
  const bool none_left = failure.code() == std::errc::too_many_files_open;
  bool& is_reported = none_left ? reserve_reported_ : process.error_reported;
  if (std::exchange(is_reported, true)) return;
  on_error_(std::system_error(
      failure.code(),
      map_.describe() +
          (none_left ? ": found no descriptor for some processes, expected that more than a "
                       "quarter of them are free (RLIMIT_NOFILE, ulimit -n); each sweep looks at "
                       "these processes instead"
                     : ", participant pid " + std::to_string(process.pid) +
                           ": found no descriptor for it, expected one; each sweep looks at it "
                           "instead")));
}

file_descriptor watch_list::open_handle(const watched_process& process) {
  int error = 0;
  file_descriptor handle = process_handle::open(process.pid, error);
  if (participants::is_reused(process.identity)) handle = {};
  return handle;
}

watched_process* watch_list::ended(std::uint64_t identity) noexcept {
  const auto at = all_.find(identity);
  if (at == all_.end() || at->second.handled) return nullptr;
  watched_process& process = at->second;
  if (process.handle.is_ours() && process_handle::has_ended(process.handle.get()))
    process.ended = true;
  return process.ended ? &process : nullptr;
}

watched_process* watch_list::find(pid_t pid) noexcept {
  const auto at = std::find_if(all_.begin(), all_.end(), [&](const auto& each) {
    return each.second.pid == pid && !each.second.handled;
  });
  return at == all_.end() ? nullptr : &at->second;
}

void watch_list::describe(watched_process& process, std::uint64_t identity) const {
  const participant& in = map_.participant_at(process.slot);
  const std::uint64_t start_time = __atomic_load_n(&in.start_time, __ATOMIC_RELAXED);
  short_name command;
  load_shared_name(command, in.command);
  std::atomic_thread_fence(std::memory_order_acquire);
  const bool is_its_own = (start_time & 0xffffffff) == (identity & 0xffffffff);
  if (in.identity.load(std::memory_order_relaxed) != identity || !is_its_own) return;
  process.start_time = start_time;
  process.command = command.data();
}

void watch_list::silence(watched_process& process) noexcept {
  if (process.handle) events_.remove(process.handle.get());
}

void watch_list::close(watched_process& process) noexcept {
  silence(process);
  process.handle = {};
  process.handled = true;
}

std::size_t watch_list::living() const noexcept {
  return static_cast<std::size_t>(
      std::count_if(all_.begin(), all_.end(), [](const auto& each) { return !each.second.ended; }));
}

}  // namespace outlive::detail
