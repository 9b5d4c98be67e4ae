#include "sync/attach.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "repair/registry.hpp"
#include "segment/crash_note.hpp"
#include "segment/failure.hpp"
#include "segment/thread_records.hpp"
#include "sync/recovery.hpp"
#include "sys/fork_epoch.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::detail {

namespace {

// How long a thread waits for the spare records, which other threads use for their recovery.
constexpr std::chrono::milliseconds spare_patience(2'000);
constexpr std::chrono::milliseconds spare_slice(5);

[[noreturn]] void fail_full(const mapping& where) {
  if (const std::uint32_t damaged = thread_records::count_damaged(where, 0, where.record_count()); damaged != 0) {
    fail(errc::damaged, where.describe() + ": found no thread record but " + std::to_string(damaged) +
                            " whose liveness mutex was overwritten, expected a free one that is whole");
  }
  fail(errc::too_many_threads, where.describe() + ": found all " + std::to_string(where.constants().threads) +
                                   " thread records in use, expected a free one (segment_options::threads)");
}

void require_robust_list(const mapping& where) {
  if (has_robust_list()) return;
  fail(errc::no_robust_list, where.describe() +
                                 ": found that the kernel has no robust list of this thread, expected one: a seccomp filter or an emulator that "
                                 "drops set_robust_list, or a thread made by raw clone");
}

attachment& use_spare(const std::shared_ptr<mapping>& where) {
  auto room = std::make_unique<attachment>();
  const auto give_up = std::chrono::steady_clock::now() + spare_patience;
  for (;;) {
    if (const auto spare = thread_records::claim_spare(*where)) return this_thread::attach(std::move(room), where, *spare);
    const std::uint32_t first = where->constants().threads;
    const bool all_damaged = thread_records::count_damaged(*where, first, where->record_count()) == where->record_count() - first;
    if (all_damaged || std::chrono::steady_clock::now() >= give_up) fail_full(*where);
    // Nobody ever blocks on a liveness mutex: look again.
    std::this_thread::sleep_for(spare_slice);
  }
}

// Changes the spare for an ordinary record, if there is one now.
attachment* exchange_spare(spare_scope& spare, const std::shared_ptr<mapping>& where) {
  auto room = std::make_unique<attachment>();
  const auto index = thread_records::claim(*where);
  if (!index) return nullptr;
  // A repair may have left a mutex locked in the spare's name: then the thread goes on with it.
  if (!spare.mine().idle()) {
    thread_records::release(*where, *index);
    return &spare.keep();
  }
  spare.give_back();
  return &this_thread::attach(std::move(room), where, *index);
}

// All records belong to the living, or to dead ones that a mutex still names. Recover those with a spare record, and look again (U3).
attachment& attach_under_pressure(const std::shared_ptr<mapping>& where) {
  if (this_thread::slot().wiped->repairs != 0) fail_full(*where);  // a repair may not start others
  spare_scope spare(use_spare(where));
  recover_dead(spare.mine(), std::nullopt, [](const recovered_lock&) {});
  if (attachment* const mine = exchange_spare(spare, where)) return *mine;
  forget_origins(spare.mine());
  if (attachment* const mine = exchange_spare(spare, where)) return *mine;
  fail_full(*where);
}

attachment& attach(const std::shared_ptr<mapping>& where) {
  this_thread::slot();
  this_thread::deactivate();
  if (attachment* const mine = this_thread::attachment_of(where->base())) return *mine;
  require_robust_list(*where);
  prepare_registry();
  auto room = std::make_unique<attachment>();
  if (const auto index = thread_records::claim(*where)) return this_thread::attach(std::move(room), where, *index);
  return attach_under_pressure(where);
}

attachment& attach_or_spare(const std::shared_ptr<mapping>& where) {
  this_thread::slot();
  this_thread::deactivate();
  if (attachment* const mine = this_thread::attachment_of(where->base())) return *mine;
  require_robust_list(*where);
  prepare_registry();
  auto room = std::make_unique<attachment>();
  if (const auto index = thread_records::claim(*where)) return this_thread::attach(std::move(room), where, *index);
  return use_spare(where);
}

}  // namespace

attachment& attach_this_thread(const std::shared_ptr<mapping>& where) {
  attachment& mine = attach(where);
  call_record_hook();
  return mine;
}

attachment& attach_for_recovery(const std::shared_ptr<mapping>& where) {
  attachment& mine = attach_or_spare(where);
  call_record_hook();
  return mine;
}

spare_scope::spare_scope(attachment& mine) noexcept : mine_(&mine), epoch_(process_epoch()) {}

spare_scope::~spare_scope() {
  give_back();
}

void spare_scope::give_back() noexcept {
  attachment* const mine = std::exchange(mine_, nullptr);
  // In a child that a repair forked, the attachment is gone.
  if (mine == nullptr || epoch_ != process_epoch()) return;
  if (mine->index < mine->where->constants().threads || !mine->idle()) return;
  thread_records::release(*mine->where, mine->index);
  this_thread::detach(*mine);
}

}  // namespace outlive::detail
