// The protocol: docs/protocol.md, "Permits", and docs/model/permit.pml.
//
// I1  A permit is held if and only if its word names a living thread at its present life. Nothing
//     else says so: there is no count and no list.
// I2  "Dead" never becomes false again for {record, generation}. So the exchange that takes a
//     permit over never takes it from a living holder, and of several that try it one succeeds. The
//     word has all 48 bits of the generation. The 15 bits of a lock's state come round, and would
//     bind a permit to an unrelated thread until that ends.
// I3  So no other thread writes the word while its holder lives, and the holder may release it by a
//     store. Between that store and the look at the mark of a waiter there must be a full fence,
//     which costs as much as an exchange. In a segment with plain marks, the fence is the waiter's
//     membarrier, between its mark and its last look. If this process may not register for that,
//     it releases by an exchange.
// I4  A thread that has some of several permits and waits for more is the collector. There is one,
//     so no two wait for each other's. The word is like that of a permit, and a dead collector's is
//     taken over, as are its permits. Others wait for their turn on a word of its own: a permit
//     that is released must wake a thread that can use it.
#include <outlive/permit_pool.hpp>

#include <cstddef>
#include <stop_token>
#include <string>
#include <system_error>
#include <utility>

#include <outlive/error.hpp>

#include "companions/handing.hpp"
#include "companions/holder.hpp"
#include "companions/sleepers.hpp"
#include "companions/wait_word.hpp"
#include "directory/directory.hpp"
#include "error/failure.hpp"
#include "mutex/attach.hpp"
#include "mutex/foreign_end.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/membarrier.hpp"

namespace outlive::detail {

namespace {

static_assert(sizeof(permit_pool_head) == sizeof(permit_pool_bytes) &&
              alignof(permit_pool_head) == alignof(permit_pool_bytes));
static_assert(offsetof(permit_pool_head, words) == offsetof(permit_pool_bytes, words));
static_assert(offsetof(permit_pool_head, collector) == offsetof(permit_pool_bytes, collector));
static_assert(offsetof(permit_pool_head, turn) == offsetof(permit_pool_bytes, turn));
// the words follow the head
static_assert(sizeof(permit_pool<8>) == sizeof(permit_pool_bytes) + 8 * sizeof(std::uint64_t));

permit_word* words_of(permit_pool_head& head) noexcept {
  return reinterpret_cast<permit_word*>(&head + 1);
}
const permit_word* words_of(const permit_pool_head& head) noexcept {
  return reinterpret_cast<const permit_word*>(&head + 1);
}

// The word at which a thread looks first. Neighbours in the table of records begin far from each
// other, whatever the count (multiples of the golden ratio).
std::uint32_t first_choice(std::uint64_t name, std::uint32_t count) noexcept {
  return static_cast<std::uint32_t>(
      (std::uint64_t{static_cast<std::uint32_t>(name >> 48) * 0x9e3779b1U} * count) >> 32);
}

// Whether the thread that the word names is dead. A word that names no thread was not stored by
// acquire(), and is free, too.
bool is_abandoned(const mapping& map, std::uint64_t word, kernel_answers* kernel) noexcept {
  return is_dead_holder(map, word >> 48, word & generation_bits, generation_bits, kernel);
}

bool is_intact(const permit_pool_head& head, std::uint32_t words) noexcept {
  return head.magic == permit_pool_magic && head.words == words && head.permits != 0 &&
         head.permits <= words;
}

void require_intact(const permit_pool_head& head, std::uint32_t words) {
  if (is_intact(head, words)) return;
  fail(errc::damaged, "permit pool: found " + std::to_string(head.permits) + " permits of " +
                          std::to_string(head.words) + " and magic " + std::to_string(head.magic) +
                          ", expected a pool with room for " + std::to_string(words) +
                          " that was constructed in a segment");
}

struct permit_search {
  const mapping& map;
  permit_pool_head& head;
  std::uint64_t me;  // attachment::name

  bool exchange(permit_word& word, std::uint64_t from) const noexcept {
    return word.compare_exchange_strong(from, me, std::memory_order_acquire,
                                        std::memory_order_relaxed);
  }

  // Looks at all words, beginning with the thread's first choice. Acquires one that is free, or
  // whose holder is dead.
  permit_word* acquire_any(bool thoroughly) const noexcept {
    kernel_answers answers;
    kernel_answers* const kernel = thoroughly ? &answers : nullptr;
    permit_word* const words = words_of(head);
    const std::uint32_t count = head.permits;
    const auto first = first_choice(me, count);
    for (std::uint32_t i = 0; i < count; ++i) {
      permit_word& word = words[first + i < count ? first + i : first + i - count];
      // In one order with the mark of a waiter and the exchange of a thread that releases a permit:
      // one of the two sees the other.
      const std::uint64_t seen = word.load(std::memory_order_seq_cst);
      if (seen != 0 && !is_abandoned(map, seen, kernel)) continue;
      if (exchange(word, seen)) return &word;
    }
    return nullptr;
  }

  permit_word* wait(thread_record& record, const deadline& until) const noexcept {
    const sleeping_for these_permits(map, record, &head);
    permit_word* got = nullptr;
    const auto look_again = [&](bool thoroughly) {
      return (got = acquire_any(thoroughly)) != nullptr;
    };
    // If this process may not call it, a permit that is released meanwhile is seen a slice later.
    const auto see_plain_releases = [&] {
      if (map.has_plain_marks()) membarrier::barrier();
    };
    const std::stop_token stop = until.stop();
    const std::stop_callback wake(stop, [this]() noexcept { wait_word::wake_all(head.seq); });
    wait_word::until(head.seq, until, look_again, stop, see_plain_releases);
    return got;
  }
};

// The role of the thread that collects several permits (I4).
struct collecting {
  const permit_search& by;

  [[nodiscard]] bool try_begin(bool thoroughly) const noexcept {
    kernel_answers answers;
    std::uint64_t seen = by.head.collector.load(std::memory_order_seq_cst);
    if (seen != 0 && !is_abandoned(by.map, seen, thoroughly ? &answers : nullptr)) return false;
    return by.head.collector.compare_exchange_strong(seen, by.me, std::memory_order_seq_cst);
  }
  bool begin(thread_record& record, const deadline& until) const noexcept {
    if (try_begin(false)) return true;
    if (!until.waits()) return false;
    const sleeping_for the_turn(by.map, record, &by.head);
    const std::stop_token stop = until.stop();
    const std::stop_callback wake(stop, [this]() noexcept { wait_word::wake_all(by.head.turn); });
    return wait_word::until(
        by.head.turn, until, [this](bool thoroughly) { return try_begin(thoroughly); }, stop);
  }
  // A store: no other thread changes the word while this one lives.
  void end() const noexcept {
    by.head.collector.store(0, std::memory_order_seq_cst);
    if ((by.head.turn.load(std::memory_order_seq_cst) & wait_word::maybe_waiters) != 0)
      wait_word::wake_one(by.head.turn);
  }
};

// Tries the word of the thread's first choice, in the segment that the thread used last. Returns: a
// hold without a word if that is not free, or if anything is unusual.
[[gnu::always_inline]] inline held_permit acquire_quickly(permit_pool_head& head,
                                                          std::uint32_t words) noexcept {
  const thread_slot& slot = current_slot;
  if (static_cast<std::uint64_t>(reinterpret_cast<const char*>(&head) - slot.base) >=
          slot.wiped->size ||
      !is_intact(head, words)) [[unlikely]]
    return {};
  attachment& mine = *slot.current;
  const std::uint64_t me = mine.name;
  permit_word& word = words_of(head)[first_choice(me, head.permits)];
  std::uint64_t free = 0;
  if (word.load(std::memory_order_relaxed) != 0 ||
      !word.compare_exchange_strong(free, me, std::memory_order_acquire, std::memory_order_relaxed))
      [[unlikely]]
    return {};
  ++mine.named_by;
  count_acquisition(mine);  // for supervisors: the word is the same each time
  return {&word, me};
}

// Functions of their own, so that the fast paths need no stack.
[[gnu::noinline]] held_permit acquire_slowly(permit_pool_head& head, std::uint32_t words,
                                             const deadline& until) {
  require_intact(head, words);
  attachment* const attached = attach_caller(&head, "permit pool", until);
  if (attached == nullptr) return {};
  attachment& mine = *attached;
  const permit_search search{*mine.map, head, mine.name};
  permit_word* got = search.acquire_any(false);
  if (got == nullptr && until.waits()) got = search.wait(*mine.record, until);
  if (got == nullptr) return {};
  ++mine.named_by;
  count_acquisition(mine);  // for supervisors: the word is the same each time
  return {got, mine.name};
}

[[gnu::noinline]] bool woken(permit_pool_head& head) noexcept {
  wait_word::wake_one(head.seq);
  return true;
}

// Returns: true, always.
[[gnu::always_inline]] inline bool released(permit_pool_head& head) noexcept {
  return (head.seq.load(std::memory_order_seq_cst) & wait_word::maybe_waiters) == 0 || woken(head);
}

[[gnu::noinline]] bool release_slowly(permit_pool_head& head, held_permit which) noexcept {
  attachment* const found = attached_caller(&head);
  // The hold is checked before the word. The word may be this thread's by now, because this thread
  // has taken it over from the dead one that acquired the hold.
  if (found == nullptr || which.holder != found->name) return false;
  attachment& mine = *found;
  std::uint64_t expected = which.holder;
  if (!which.word->compare_exchange_strong(expected, 0, std::memory_order_seq_cst)) return false;
  --mine.named_by;
  ask_for_plain_stores(mine);  // for the next time
  end_spare_use(mine);
  return released(head);
}

}  // namespace

void make_permits(permit_pool_head& head, std::uint32_t words, std::uint32_t permits) {
  require_in_segment(&head, "permit pool");
  if (permits == 0 || permits > words) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            "permit pool: found " + std::to_string(permits) +
                                " permits requested, expected 1 to " + std::to_string(words));
  }
  head.seq.store(0, std::memory_order_relaxed);
  head.permits = permits;
  head.words = words;
  head.collector.store(0, std::memory_order_relaxed);
  head.turn.store(0, std::memory_order_relaxed);
  crash_barrier();  // the whole pool comes before the magic that says so
  head.magic = permit_pool_magic;
}

void end_permits(permit_pool_head& head) noexcept {
  static_cast<volatile std::uint32_t&>(head.magic) = dead_permit_pool_magic;
}

held_permit acquire_permit(permit_pool_head& head, std::uint32_t words, const deadline& until) {
  const held_permit got = acquire_quickly(head, words);
  return got.word != nullptr ? got : acquire_slowly(head, words, until);
}

bool acquire_permits(permit_pool_head& head, std::uint32_t words, held_permit* into,
                     std::uint32_t count, const deadline& until) {
  require_intact(head, words);
  if (count == 0 || count > head.permits) {
    throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                            "permit pool: found " + std::to_string(count) +
                                " permits requested at once, expected 1 to " +
                                std::to_string(head.permits));
  }
  attachment* const attached = attach_caller(&head, "permit pool", until);
  if (attached == nullptr) return false;
  attachment& mine = *attached;
  const permit_search search{*mine.map, head, mine.name};
  const collecting role{search};
  if (!role.begin(*mine.record, until)) return false;
  std::uint32_t got = 0;
  for (; got < count; ++got) {
    permit_word* word = search.acquire_any(false);
    if (word == nullptr && until.waits()) word = search.wait(*mine.record, until);
    if (word == nullptr) break;
    ++mine.named_by;
    count_acquisition(mine);
    into[got] = {word, mine.name};
  }
  // Before the permits are released: a spare record goes with the last one.
  role.end();
  if (got == count) return true;
  while (got > 0) release_permit(head, into[--got]);
  return false;
}

bool release_permit(permit_pool_head& head, held_permit which) noexcept {
  const thread_slot& slot = current_slot;
  if (static_cast<std::uint64_t>(reinterpret_cast<const char*>(&head) - slot.base) >=
      slot.wiped->size) [[unlikely]]
    return release_slowly(head, which);
  attachment& mine = *slot.current;
  if (which.holder != mine.plain_name ||
      which.word->load(std::memory_order_relaxed) != which.holder) [[unlikely]]
    return release_slowly(head, which);
  which.word->store(0, std::memory_order_release);
  crash_barrier();  // free before the look for waiters: the compiler's part of the fence of I3
  --mine.named_by;
  return released(head);
}

std::shared_ptr<handing> hand_over_permit(const pooled_permit& which) {
  attachment* const mine = which.held.word == nullptr ? nullptr : attached_caller(which.pool);
  if (mine == nullptr || which.held.holder != mine->name ||
      which.held.word->load(std::memory_order_relaxed) != which.held.holder)
    throw_not_holder();
  auto handed = handing_of(*mine);
  begin_handing(*mine, *handed);
  return handed;
}

pooled_permit take_over(const pooled_permit& which, handing& by) {
  attachment& mine = attach_taker(which.pool, "permit", by);
  std::uint64_t expected = which.held.holder;
  const bool taken =
      which.held.word->compare_exchange_strong(expected, mine.name, std::memory_order_seq_cst);
  end_handing(by);
  if (!taken) return {};
  ++mine.named_by;
  count_acquisition(mine);  // for supervisors: a hold that began now
  return {which.pool, {which.held.word, mine.name}};
}

void return_handed(const pooled_permit& which, handing& by) noexcept {
  if (!by.is_this_process()) return;
  std::uint64_t expected = which.held.holder;
  const bool returned =
      which.held.word->compare_exchange_strong(expected, 0, std::memory_order_seq_cst);
  end_handing(by);
  if (returned) static_cast<void>(released(*which.pool));
}

void lose_permit(const permit_pool_head& head, held_permit which) noexcept {
  const std::uint64_t record = which.holder >> 48, generation = which.holder & generation_bits;
  end_foreign_hold(hold_kind::permit, &head, record, generation, generation_bits);
}

std::uint32_t count_free_permits(const permit_pool_head& head, std::uint32_t words) {
  require_intact(head, words);
  const auto map = require_in_segment(&head, "permit pool");
  kernel_answers kernel;
  std::uint32_t free = 0;
  for (std::uint32_t i = 0; i < head.permits; ++i) {
    const std::uint64_t seen = words_of(head)[i].load(std::memory_order_acquire);
    if (seen == 0 || is_abandoned(*map, seen, &kernel)) ++free;
  }
  return free;
}

void throw_not_holder() {
  fail(errc::not_owner,
       "permit: found another holder, or none, expected the thread that acquired it");
}

}  // namespace outlive::detail
