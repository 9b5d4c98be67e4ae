#include "step/world.hpp"

#include <unistd.h>

#include <csignal>
#include <sstream>

#include "records/thread_records.hpp"
#include "support/child.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::testing {

namespace {

constexpr std::chrono::seconds patience(10);

pid_t tid_of(const thread_identity& thread) noexcept {
  return thread.known ? thread.tid : -1;
}

[[noreturn]] void kill_self() {
  kill(getpid(), SIGKILL);
  _exit(127);
}

}  // namespace

void told::forget() noexcept {
  repairs.store(0);
  owner.store(0);
  former_heir.store(0);
  attempt.store(0);
}

segment_options world::small() {
  segment_options options;
  options.size = 64 * 1024;
  options.directory_capacity = 64;
  options.threads = 4;
  options.participants = 8;
  options.max_held = 8;
  options.lock_classes = 16;
  options.attempts = 3;
  return options;
}

world::world(std::size_t locks, const segment_options& options)
    : segment_(segment::anonymous(options)), owners_(locks), heirs_(locks) {
  for (std::size_t i = 0; i < locks; ++i) {
    locks_.push_back(
        &segment_.find_or_construct<guarded_twins>("twins " + std::to_string(i), "twins"));
  }
}

world::~world() = default;

detail::lock_bytes& world::bytes(std::size_t index) const noexcept {
  return reinterpret_cast<detail::lock_bytes&>(locks_[index]->mutex());
}

detail::lock_state world::state(std::size_t index) const noexcept {
  return detail::lock_state(bytes(index).state.load());
}

std::uint32_t world::native_word(std::size_t index) const noexcept {
  return detail::native_mutex::word(bytes(index).native);
}

void world::i_am_the_victim() noexcept {
  shared_->victim.store(gettid());
}

void world::warm_up() {
  i_am_the_victim();
  static_cast<void>(lock(0).mutex().try_lock() && (lock(0).mutex().unlock(), true));
}

void world::register_repair(repair_result in_victim) {
  repair_ = on_owner_death<twins>(
      segment_, "twins", [this, in_victim](twins& value, const owner_death& death) {
        const bool i_am_victim = gettid() == victim();
        told& mine = i_am_victim ? shared_->victim_told : shared_->heir;
        mine.owner.store(tid_of(death.owner()));
        mine.former_heir.store(death.former_heir() == nullptr ? 0 : tid_of(*death.former_heir()));
        mine.attempt.store(death.attempt());
        // last: a victim that dies in here has been told all of it, or nothing
        mine.repairs.fetch_add(1);
        if (shared_->die_in_repair.load()) kill_self();
        shared_->needless.fetch_add(value.a == value.b ? 1 : 0);
        value.b = value.a;
        return i_am_victim ? in_victim : repaired;
      });
}

void world::leave_owner_dead_in(const std::vector<std::size_t>& indexes,
                                const std::function<void()>& end) {
  child owner("owner", [&](agent&) {
    for (const std::size_t index : indexes) {
      lock(index).mutex().lock();
      lock(index).unguarded().a += 1;
    }
    if (end) end();
    kill_self();
  });
  owner.expect_killed();
  for (const std::size_t index : indexes) {
    owners_[index] = {owner.pid(), state(index).holder()};
    if (!owners_[index].id) throw std::logic_error("the owner did not die inside");
  }
}

void world::leave_heir_dead_in(std::size_t index) {
  shared_->die_in_repair.store(true);
  child heir("former heir", [&](agent&) {
    auto never = lock(index).lock();
    _exit(1);
  });
  heir.expect_killed();
  shared_->die_in_repair.store(false);
  heirs_[index] = {heir.pid(), state(index).holder()};
}

void world::forget_the_dead() {
  owners_.assign(locks(), {});
  heirs_.assign(locks(), {});
  // A victim's way would depend on the places that the dead keep among the threads at internal
  // locks.
  for (detail::shared_u64& each : mapped().header().entrants)
    each.store(0, std::memory_order_relaxed);
  shared_->heir.forget();
  shared_->victim_told.forget();
}

expectation world::expect_now(std::size_t index) const {
  const detail::lock_state found = state(index);
  const dead_one& owner = owners_[index];
  const dead_one& heir = heirs_[index];
  const auto names = [&](const dead_one& one) { return bool{one.id} && found.holder() == one.id; };
  switch (found.condition()) {
    case detail::lock_condition::consistent:
      if (!found.holder()) return {};
      return {true, names(owner) ? owner.tid : victim(), 0, 1};
    case detail::lock_condition::repairing:
      return {true, owner.tid, names(heir) ? heir.tid : victim(), found.attempts() + 1};
    case detail::lock_condition::unrepaired:
      return {true,
              !found.origin()  ? -1
              : owner.tid != 0 ? owner.tid
                               : victim(),
              0, found.attempts() + 1};
    case detail::lock_condition::not_recoverable: break;
  }
  return {};
}

template <class What>
void world::complain(std::size_t& counter, const What& what) {
  ++counter;
  ADD_FAILURE() << what;
}

bool world::shows(std::uint32_t record, std::size_t index) const {
  const detail::mapping& map = mapped();
  const std::uint64_t offset = map.offset_of(&bytes(index));
  for (std::uint32_t k = 0; k < held_places(map.constants()); ++k) {
    if ((map.held(record)[k].place.load() & detail::held_offset_mask) == offset) return true;
  }
  return false;
}

// Some dead thread's record shows the mutex in hand. Entries that older victims left in their
// records do not count.
bool world::is_in_hand(std::size_t index) const {
  const detail::mapping& map = mapped();
  for (std::uint32_t i = 0; i < map.record_count(); ++i) {
    const auto tid = static_cast<pid_t>(map.record(i).tid.load());
    if (tid != victim() && tid != owners_[index].tid && tid != heirs_[index].tid) continue;
    if (shows(i, index)) return true;
  }
  return false;
}

void world::check_lawful(std::size_t index) {
  const std::uint32_t word = native_word(index);
  const bool died = (word & detail::native_mutex::owner_died) != 0;
  std::ostringstream seen;
  seen << "mutex " << index << ": native word " << std::hex << word << ", state "
       << state(index).word() << ": ";
  if ((word & detail::native_mutex::tid_mask) != 0)
    complain(tally_.stuck, seen.str() + "the kernel left it with an owner");
  if (!state(index).is_valid()) complain(tally_.unlawful, seen.str() + "no state of the protocol");
  if (state(index).holder() && !died)
    complain(tally_.unlawful, seen.str() + "it names a holder who did not have the native mutex");
  if (const auto holder = state(index).holder(); holder && !shows(holder.index_plus_1 - 1, index)) {
    complain(tally_.unlawful,
             seen.str() + "the record of the holder whom it names does not show it in hand");
  }
  if (died && !is_in_hand(index))
    complain(tally_.unlawful,
             seen.str() + "its owner died with it, and no record shows it in hand");
}

void world::compare(std::size_t index, const expectation& due, std::uint32_t repairs) {
  const std::string which = "mutex " + std::to_string(index) + ": ";
  if (due.repair && repairs == 0)
    return complain(tally_.missed, which + "no repair, although the state named a dead thread");
  if (!due.repair && repairs != 0)
    return complain(tally_.not_due, which + "a repair, although the state named nobody");
  if (repairs > 1) complain(tally_.not_due, which + "the repair ran more than once");
  if (!due.repair) return;
  const told& heard = shared_->heir;
  const expectation got{true, heard.owner.load(), heard.former_heir.load(), heard.attempt.load()};
  if (got.owner == due.owner && got.former_heir == due.former_heir && got.attempt == due.attempt)
    return;
  std::ostringstream text;
  text << which << "told owner " << got.owner << ", former heir " << got.former_heir << ", attempt "
       << got.attempt << "; it was " << due.owner << ", " << due.former_heir << ", " << due.attempt;
  complain(tally_.wrong, text.str());
}

void world::inherit(std::size_t index) {
  const expectation due = expect_now(index);
  shared_->heir.forget();
  // Without patience a lock takes what is free or an orphan; it waits for nothing but the living.
  auto hold =
      lock(index).try_lock_until(std::chrono::steady_clock::now() - std::chrono::seconds(1));
  if (!hold) hold = lock(index).try_lock_for(patience);
  if (!hold) {
    complain(tally_.stuck, "mutex " + std::to_string(index) + " is stuck");
    return;
  }
  const std::uint32_t repairs = shared_->heir.repairs.load();
  tally_.repairs += repairs;
  compare(index, due, repairs);
  if (hold->a != hold->b)
    complain(tally_.missed, "mutex " + std::to_string(index) + ": torn, and not repaired");
  if (hold.recovered() != due.repair)
    complain(tally_.wrong, "mutex " + std::to_string(index) + ": recovered() is wrong");
  hold.unlock();
  if (state(index).word() != detail::free_consistent)
    complain(tally_.unlawful, "mutex " + std::to_string(index) + " is not free");
}

void world::check_records(std::uint32_t living) {
  const std::uint32_t taken = segment_.threads_in_use();
  if (taken != living)
    complain(tally_.lost, std::to_string(taken) + " records taken, by " + std::to_string(living) +
                              " living threads");
}

void world::settle(std::uint32_t living) {
  for (std::size_t i = 0; i < locks(); ++i) check_lawful(i);
  for (std::size_t i = 0; i < locks(); ++i) inherit(i);
  check_records(living);
}

void world::settle_after_newcomer(std::size_t index) {
  for (std::size_t i = 0; i < locks(); ++i) check_lawful(i);
  child newcomer("newcomer", [&](agent&) {
    drop_repair();
    lock(index).mutex().lock();
    lock(index).mutex().unlock();
  });
  newcomer.expect_exit(0);
  for (std::size_t i = 0; i < locks(); ++i) inherit(i);
  check_records(1);
}

}  // namespace outlive::testing
