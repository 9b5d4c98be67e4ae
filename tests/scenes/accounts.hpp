// Accounts in a segment: what the tests of owner deaths protect, a repair that counts itself, and
// survivors.
//
// Invariant of an account: a + b == 1000. A victim breaks it and dies. The repair restores it and
// counts, over all processes, how often it ran. A survivor is a process of its own that locks the
// mutex with a plain lock(), and whose wait is bounded by its parent.
#pragma once

#include <array>
#include <atomic>
#include <string>
#include <system_error>

#include <outlive/outlive.hpp>

#include "support/bounded.hpp"
#include "support/child.hpp"

namespace outlive::testing {

struct account {
  long a = 500;
  long b = 500;
  bool whole() const { return a + b == 1000; }
  void tear() { a -= 7; }
  void mend() { b = 1000 - a; }
};

/// Small, so that a segment for each case costs nothing.
segment_options small_segment();

class accounts {
 public:
  static constexpr unsigned most = 64;

  /// Whether the test's own thread gets a record at once, so that later counts of records are
  /// stable, or none, because it must hold no robust mutex.
  enum class record { taken, none };
  explicit accounts(unsigned count = 1, const segment_options& options = small_segment(),
                    record of_the_test = record::taken);

  unsigned size() const { return count_; }
  segment& seg() { return seg_; }
  const segment& seg() const { return seg_; }
  guarded<account>& operator[](unsigned index) const { return *all_[index]; }
  robust_mutex& mutex(unsigned index = 0) const { return all_[index]->mutex(); }
  account& value(unsigned index = 0) const { return all_[index]->unguarded(); }
  unsigned index_of(const robust_mutex& mutex) const;

  /// Registers the repair of all accounts; processes forked later have it, too.
  repair_registration mended_here() const;
  /// What that repair does, for repairs that do more.
  repair_result mend(account& value, const owner_death& death) const;

  /// How often the repair was started, in all processes.
  unsigned repairs(unsigned index) const { return (*started_)[index].load(); }
  unsigned repairs() const;

  /// The thread with this id has waited for a mutex at least once.
  bool has_waited(pid_t tid) const;

  /// A victim's work: locks the mutex without a guard, and leaves the account torn.
  void lock_and_tear(unsigned index = 0) const;
  /// The same as a child's work: it sends "inside", and stays there until it is killed.
  child::body holder(unsigned index = 0) const;

  /// The holders of all locks, for the message of a wait that failed.
  std::string who_holds_what() const;

 private:
  segment seg_;
  unsigned count_;
  std::array<guarded<account>*, most> all_{};
  shared_object<std::array<std::atomic<unsigned>, most>> started_;
};

/// A child that tears the account and dies of SIGKILL: returns when it is dead and reaped. Returns
/// its pid.
pid_t kill_a_holder(const accounts& all, unsigned index = 0, source_line at = source_line::here());
/// The same without a signal: the owner leaves by _exit.
pid_t leave_holding(const accounts& all, unsigned index = 0, source_line at = source_line::here());

/// How lock() went for a process of its own.
struct survival {
  bool returned = false;  // in time
  bool acquired = false;
  bool recovered = false;
  bool whole = false;
  std::error_code error;
};
survival try_to_survive(const accounts& all, unsigned index, milliseconds limit = default_timeout(),
                        source_line at = source_line::here());

/// The survivor got the lock, by a repair if `recovered`, and the account is whole.
void expect_survivor(const accounts& all, unsigned index, bool recovered,
                     source_line at = source_line::here());
/// The survivor was refused.
void expect_refused(const accounts& all, unsigned index, errc error,
                    source_line at = source_line::here());
/// The mutex is free and consistent: a process gets it, and no repair runs.
void expect_usable(const accounts& all, unsigned index = 0, source_line at = source_line::here());

}  // namespace outlive::testing
