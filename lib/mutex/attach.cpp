#include "mutex/attach.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "error/failure.hpp"
#include "mutex/recovery.hpp"
#include "records/crash_note.hpp"
#include "records/thread_records.hpp"
#include "repair/registry.hpp"
#include "sys/fork_epoch.hpp"
#include "sys/native_mutex.hpp"
#include "sys/no_cancellation.hpp"

namespace outlive::detail {

namespace {

using std::chrono::milliseconds;

// Between two attempts to claim a record. Nobody blocks on a liveness mutex, so nobody could wake
// the thread.
constexpr milliseconds first_claim_sleep(1);
constexpr milliseconds longest_sleep(50);
// recover(), reset() and supervisors have no deadline of their own.
constexpr milliseconds time_for_a_spare(2'000);

class backoff {
 public:
  // Returns: false when the time is over, without a sleep.
  bool sleep_once(const deadline& how_long) {
    const auto left = how_long.left();
    if (left <= left.zero()) return false;
    const no_cancellation here;  // lock() is no cancellation point
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(next_, left));
    next_ = std::min(next_ * 2, longest_sleep);
    return true;
  }

 private:
  milliseconds next_ = first_claim_sleep;
};

// The states of a range of records.
struct census {
  std::uint32_t living = 0;
  std::uint32_t pinned = 0;    // of a dead thread that a mutex still names
  std::uint32_t unmarked = 0;  // of a dead thread that the kernel did not mark
  std::uint32_t free = 0;
  std::uint32_t damaged = 0;  // the liveness mutex is overwritten, so nobody can use the record
  std::string pids;           // of the living

  census(const mapping& map, std::uint32_t from, std::uint32_t end) {
    for (std::uint32_t i = from; i < end; ++i) count(map, i);
  }

 private:
  void count(const mapping& map, std::uint32_t index) {
    const thread_record& record = map.record(index);
    if (!native_mutex::is_intact(record.liveness)) {
      ++damaged;
    } else if (thread_records::is_held(record)) {
      if (thread_records::is_dead(record)) {
        ++unmarked;
      } else {
        ++living;
        pids += (pids.empty() ? "pid " : ", ") +
                std::to_string(record.pid.load(std::memory_order_relaxed));
      }
    } else {
      ++(thread_records::is_free(map, index) ? free : pinned);
    }
  }
};

census ordinary_of(const mapping& map) {
  return {map, 0, map.constants().threads};
}
census spares_of(const mapping& map) {
  return {map, map.constants().threads, map.record_count()};
}

void refuse_damaged(const mapping& map) {
  const std::uint32_t damaged = thread_records::count_damaged(map, 0, map.record_count());
  if (damaged == 0) return;
  fail(errc::damaged, map.describe() + ": found no free thread record, and " +
                          std::to_string(damaged) +
                          " whose liveness mutex was overwritten, expected a free one");
}

[[noreturn]] void fail_full(const mapping& map, const census& found, const char* more = "") {
  refuse_damaged(map);
  std::string users = std::to_string(found.living) + " by living threads";
  if (const std::uint32_t dead = found.pinned + found.unmarked; dead != 0)
    users += ", " + std::to_string(dead) + " by dead threads";
  if (found.damaged != 0) users += ", " + std::to_string(found.damaged) + " damaged";
  fail(errc::too_many_threads, map.describe() + ": found all " +
                                   std::to_string(map.constants().threads) +
                                   " thread records in use, " + users + more +
                                   ", expected a free one (segment_options::threads)");
}

[[noreturn]] void fail_without_spare(const mapping& map) {
  refuse_damaged(map);
  const census spares = spares_of(map);
  const std::string users = spares.living == 0 ? std::to_string(spares.damaged) + " damaged"
                                               : "by living threads (" + spares.pids + ")";
  fail(errc::too_many_threads, map.describe() + ": found all thread records in use, also the " +
                                   std::to_string(spare_records) + " kept for recovery, " + users +
                                   ", expected a free one");
}

void require_robust_list(const mapping& map) {
  if (has_robust_list()) return;
  fail(errc::no_robust_list,
       map.describe() +
           ": found no robust list of this thread in the kernel, expected one: a seccomp filter or "
           "an emulator drops set_robust_list, or raw clone made the thread");
}

// Claims a record by that function. Memory is allocated first: nothing may fail after a claim.
attachment* attach_by(std::optional<std::uint32_t> (*claim)(mapping&),
                      const std::shared_ptr<mapping>& map) {
  auto room = std::make_unique<attachment>();
  const auto index = claim(*map);
  return index ? &this_thread::attach(std::move(room), map, *index) : nullptr;
}

// Exchanges the spare record for an ordinary one, if one is free now.
attachment* exchange_spare(spare_scope& spare, const std::shared_ptr<mapping>& map) {
  auto room = std::make_unique<attachment>();
  const auto index = thread_records::claim(*map);
  if (!index) return nullptr;
  // A repair may have left a mutex locked in the name of the spare record. Then the thread keeps
  // that record until it has released the mutex (end_spare_use()).
  if (!spare.mine().idle()) {
    thread_records::release(*map, *index);
    return &spare.keep();
  }
  spare.release();
  return &this_thread::attach(std::move(room), map, *index);
}

// One attempt to free a record: recovers with a spare one (U3). Returns: the attachment; nullptr if
// a later attempt may succeed. Throws errc::too_many_threads if none can.
attachment* recover_one(const std::shared_ptr<mapping>& map, const deadline& how_long) {
  attachment* const claimed = attach_by(thread_records::claim_spare, map);
  // a living thread has a mutex that pins a record, mostly because its repair is running
  bool busy = false;
  if (claimed != nullptr) {
    spare_scope spare(*claimed);
    const bool all =
        recover_dead(spare.mine(), std::nullopt, how_long,
                     [&](const recovered_lock& lock) { busy |= lock.result.is_busy(); });
    if (attachment* const mine = exchange_spare(spare, map)) return mine;
    if (!all) return nullptr;
    forget_origins(spare.mine(), how_long);
    if (attachment* const mine = exchange_spare(spare, map)) return mine;
  }
  const census found = ordinary_of(*map);
  const bool others_recover = claimed == nullptr && found.pinned != 0;
  if (busy || found.unmarked != 0 || found.free != 0) return nullptr;
  if (!others_recover) fail_full(*map, found);
  if (spares_of(*map).damaged == spare_records)
    fail_full(*map, found, ", and those kept for recovery damaged");
  return nullptr;
}

// All ordinary records belong to the living, or to dead threads that a mutex still names.
attachment* attach_by_recovery(const std::shared_ptr<mapping>& map, const deadline& how_long) {
  if (this_thread::slot().wiped->repairs != 0)
    fail_full(*map, ordinary_of(*map), ", in a repair, which starts no others");
  backoff between;
  for (;;) {
    if (attachment* const mine = recover_one(map, how_long)) return mine;
    if (!between.sleep_once(how_long)) return nullptr;
    if (attachment* const mine = attach_by(thread_records::claim, map)) return mine;
  }
}

attachment* attach_by_spare(const std::shared_ptr<mapping>& map, const deadline& how_long) {
  backoff between;
  for (;;) {
    if (attachment* const mine = attach_by(thread_records::claim_spare, map)) return mine;
    if (spares_of(*map).damaged == spare_records || !between.sleep_once(how_long))
      fail_without_spare(*map);
  }
}

}  // namespace

attachment* attach(const std::shared_ptr<mapping>& map, const deadline& how_long, claimable which) {
  this_thread::slot();
  this_thread::deactivate();
  attachment* mine = this_thread::attachment_of(map->base());
  if (mine == nullptr) {
    require_robust_list(*map);
    prepare_registry();
    mine = attach_by(thread_records::claim, map);
    if (mine == nullptr)
      mine = which == claimable::spare_too ? attach_by_spare(map, how_long)
                                           : attach_by_recovery(map, how_long);
  }
  if (mine != nullptr) call_record_hook();
  return mine;
}

bool is_spare(const attachment& mine) noexcept {
  return mine.index >= mine.map->constants().threads;
}

void put_slot_on(attachment& mine) noexcept {
  if (current_slot.wiped->repairs != 0) return;
  if (is_spare(mine)) return end_spare_use(mine);
  this_thread::activate(mine);
}

void end_spare_use(attachment& mine) noexcept {
  if (!is_spare(mine) || current_slot.wiped->repairs != 0 || !mine.idle()) return;
  thread_records::release(*mine.map, mine.index);
  this_thread::detach(mine);
}

spare_scope::spare_scope(attachment& mine) noexcept : mine_(&mine), epoch_(process_epoch()) {}

spare_scope::spare_scope(const std::shared_ptr<mapping>& map)
    : spare_scope(*attach(map, time_for_a_spare, claimable::spare_too)) {}

spare_scope::~spare_scope() {
  release();
}

void spare_scope::release() noexcept {
  attachment* const mine = std::exchange(mine_, nullptr);
  // In a child that a repair forked, the attachment is gone.
  if (mine != nullptr && epoch_ == process_epoch()) end_spare_use(*mine);
}

}  // namespace outlive::detail
