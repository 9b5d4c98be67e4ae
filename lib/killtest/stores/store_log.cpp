#include "killtest/stores/store_log.hpp"

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <system_error>

namespace outlive::killtest::detail {

namespace {

// Address space. Only what is written takes memory.
constexpr std::size_t max_stores = std::size_t{1} << 21;
constexpr std::size_t max_bytes = std::size_t{1} << 27;
constexpr std::size_t max_list_words = std::size_t{1} << 22;
constexpr std::size_t max_barriers = std::size_t{1} << 16;
constexpr std::size_t max_notes = std::size_t{1} << 20;
constexpr std::size_t hash_slots = std::size_t{1} << 14;

std::uint64_t hash_of(const std::uint64_t* items, std::size_t count) noexcept {
  std::uint64_t hash = count;
  for (std::size_t i = 0; i < count; ++i) hash = (hash ^ items[i]) * 0x9e3779b97f4a7c15;
  return hash ^ hash >> 29;
}

}  // namespace

// Lists of words, equal ones stored once: {count, words...}. The index of a list is its number;
// `begins` has its place.
struct store_log::list_area {
  std::uint32_t used;               // words
  std::uint32_t lists;              // the empty one, number 0, included
  std::uint32_t slots[hash_slots];  // number of a list with that hash; 0: none
  std::uint32_t begins[max_list_words / 4];
};

struct store_log::shared {
  std::atomic<std::uint32_t> count;
  std::uint32_t bytes_used;
  std::uint32_t setup;
  std::uint32_t held_at_start;
  std::uint32_t held_at_end;
  std::uint32_t executed;
  std::uint32_t barrier_count;
  std::uint32_t note_count;
  const char* overflow;  // a literal, which is at the same address in children
  list_area held;
  list_area stacks;
  std::uint64_t held_words[max_list_words];
  std::uint64_t stack_words[max_list_words];
  passed_barrier barriers[max_barriers];
  transaction_note notes[max_notes];
  logged_store stores[max_stores];
  std::byte bytes[max_bytes];
};

store_log::store_log() {
  void* const memory = mmap(nullptr, sizeof(shared), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "memory for the log of stores");
  shared_ = static_cast<shared*>(memory);
  reset();
}

store_log::~store_log() {
  munmap(shared_, sizeof(shared));
}

void store_log::reset() noexcept {
  shared_->count.store(0, std::memory_order_relaxed);
  shared_->bytes_used = shared_->setup = shared_->held_at_start = shared_->held_at_end =
      shared_->executed = shared_->barrier_count = shared_->note_count = 0;
  shared_->overflow = nullptr;
  for (list_area* each : {&shared_->held, &shared_->stacks}) {
    if (each->lists > 1) std::memset(each->slots, 0, sizeof each->slots);
    each->used = 0;
    each->lists = 1;
  }
}

recording store_log::read() const {
  recording made;
  const std::size_t count = this->count();
  made.stores.assign(shared_->stores, shared_->stores + count);
  made.bytes.assign(shared_->bytes, shared_->bytes + shared_->bytes_used);
  made.barriers.assign(shared_->barriers, shared_->barriers + shared_->barrier_count);
  made.notes.assign(shared_->notes, shared_->notes + shared_->note_count);
  made.setup = shared_->setup;
  made.held_at_start = shared_->held_at_start;
  made.held_at_end = shared_->held_at_end;
  made.executed = shared_->executed;
  made.held.resize(1);
  for (std::uint32_t i = 1; i < shared_->held.lists; ++i) {
    const std::uint64_t* const list = shared_->held_words + shared_->held.begins[i];
    made.held.emplace_back(list + 1, list + 1 + *list);
  }
  made.stacks.resize(1);
  for (std::uint32_t i = 1; i < shared_->stacks.lists; ++i) {
    const std::uint64_t* const list = shared_->stack_words + shared_->stacks.begins[i];
    made.stacks.emplace_back(list + 1, list + 1 + *list);
  }
  return made;
}

const char* store_log::overflow() const noexcept {
  return shared_->overflow;
}

void store_log::add(logged_store made, const std::byte* before, const std::byte* after) noexcept {
  const std::uint32_t at = shared_->count.load(std::memory_order_relaxed);
  if (at == max_stores || shared_->bytes_used + 2 * std::size_t{made.size} > max_bytes) {
    shared_->overflow = "the log of stores";
    return;
  }
  made.bytes = shared_->bytes_used;
  std::memcpy(shared_->bytes + made.bytes, before, made.size);
  std::memcpy(shared_->bytes + made.bytes + made.size, after, made.size);
  shared_->bytes_used = made.bytes + 2 * made.size;
  shared_->stores[at] = made;
  shared_->count.store(at + 1, std::memory_order_release);  // pairs with count()
}

std::size_t store_log::count() const noexcept {
  return shared_->count.load(std::memory_order_acquire);
}

std::uint32_t store_log::intern(list_area& area, std::uint64_t* room, std::size_t capacity,
                                const std::uint64_t* items, std::size_t count) noexcept {
  if (count == 0) return 0;
  const std::uint64_t hash = hash_of(items, count);
  std::uint32_t* free_slot = nullptr;
  for (std::size_t probe = 0; probe < 8; ++probe) {
    std::uint32_t& slot = area.slots[(hash + probe) % hash_slots];
    if (slot == 0) {
      free_slot = &slot;
      break;
    }
    const std::uint64_t* const list = room + area.begins[slot];
    if (*list == count && std::memcmp(list + 1, items, count * sizeof *items) == 0) return slot;
  }
  if (area.used + count + 1 > capacity || area.lists == std::size(area.begins)) return 0;
  std::uint64_t* const list = room + area.used;
  *list = count;
  std::memcpy(list + 1, items, count * sizeof *items);
  area.begins[area.lists] = area.used;
  area.used += static_cast<std::uint32_t>(count + 1);
  if (free_slot != nullptr) *free_slot = area.lists;
  return area.lists++;
}

std::uint32_t store_log::held(const std::uint64_t* offsets, std::size_t count) noexcept {
  const std::uint32_t index =
      intern(shared_->held, shared_->held_words, max_list_words, offsets, count);
  if (index == 0 && count != 0) shared_->overflow = "the lists of robust locks";
  return index;
}

std::uint32_t store_log::stack(const std::uintptr_t* addresses, std::size_t count) noexcept {
  // full: the stack is unknown
  return intern(shared_->stacks, shared_->stack_words, max_list_words, addresses, count);
}

void store_log::add_barrier(const char* file, std::uint32_t line) noexcept {
  if (shared_->barrier_count == max_barriers) return;
  shared_->barriers[shared_->barrier_count++] = {file, line, shared_->count.load()};
}

void store_log::add_note(transaction_note made) noexcept {
  if (shared_->note_count == max_notes) {
    shared_->overflow = "the notes of transactions";
    return;
  }
  made.stores = shared_->count.load(std::memory_order_relaxed);
  shared_->notes[shared_->note_count++] = made;
}

void store_log::begin_tested(std::uint32_t held_now) noexcept {
  shared_->setup = shared_->count.load(std::memory_order_relaxed);
  shared_->held_at_start = held_now;
}

void store_log::finish(std::uint32_t held_now, std::uint32_t executed) noexcept {
  shared_->held_at_end = held_now;
  shared_->executed = executed;
}

}  // namespace outlive::killtest::detail
