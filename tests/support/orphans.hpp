// The eight ways to lose a robust mutex: its owner is dead, and the kernel does not mark it.
//
// None of them is part of the lock protocol: a healthy lock is never lost, wherever its owner is
// killed. The hazards are in brackets.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "support/child.hpp"

namespace outlive::testing {

enum class orphan_kind {
  // foreign code acquired 2,100 robust mutexes after ours; the kernel walks 2,048 (A1)
  too_many_held,
  // a foreign mutex, newer than ours, was unmapped while held: the walk faults on it (A3)
  unmapped,
  // exec on a thread that is not the main one: its TID vanishes with its list (A23)
  exec_from_thread,
  // set_robust_list(NULL) before death (A31)
  list_unset,
  // killed, and its memory removed before the kernel has walked its list (A54)
  process_mrelease,
  // a child by clone without glibc: it locks with its parent's TID and has no list (A27)
  raw_fork,
  // our own mapping is read-only at death: the kernel cannot mark the lock (A8)
  read_only,
  // a stray write to the list pointers of a foreign mutex, newer than ours (A12)
  damaged_list,
};

inline constexpr std::array all_orphan_kinds{
    orphan_kind::too_many_held, orphan_kind::unmapped,         orphan_kind::exec_from_thread,
    orphan_kind::list_unset,    orphan_kind::process_mrelease, orphan_kind::raw_fork,
    orphan_kind::read_only,     orphan_kind::damaged_list};

std::string name_of(orphan_kind kind);

struct orphan_hooks {
  /// Acquires the locks that are to be lost, on the thread and in the process that this kind needs.
  std::function<void()> acquire = nullptr;
  /// The whole mapping of the locks, page-aligned; for read_only.
  std::span<std::byte> region = {};
  /// exec_from_thread: the process lives on as another program (up to 60 s, or until it is killed)
  /// instead of ending.
  bool live_on = false;
};

/// Why this kind cannot be made here.
std::optional<std::string> orphan_unavailable(orphan_kind kind);

/// To be called in a child.
[[noreturn]] void die_leaving_orphans(orphan_kind kind, const orphan_hooks& hooks);

/// In the parent: waits until the owner is dead. With live_on only the thread is dead, not the
/// process.
void expect_orphaned(child& owner, orphan_kind kind, bool live_on = false,
                     source_line at = source_line::here());

}  // namespace outlive::testing
