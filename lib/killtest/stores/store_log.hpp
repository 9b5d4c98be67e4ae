// store_log: the stores of a traced process, in memory that it shares with the explorer.
//
// The traced process writes it in signal handlers and may die at any time. An entry counts once
// `count` includes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <outlive/killtest/report.hpp>

namespace outlive::killtest::detail {

// One instruction that changed the segment.
struct logged_store {
  std::uint64_t offset = 0;  // of the first changed byte
  std::uint32_t size = 0;    // up to the last changed byte
  std::uint32_t bytes = 0;   // index of the old bytes in `bytes`; the new ones follow them
  std::uint32_t stack = 0;   // index
  // Stores of the tested part up to and including this one. Stores that changed nothing count.
  std::uint32_t executed = 0;
  std::uint32_t held_before = 0;  // index of the list of robust locks before the instruction
  std::uint32_t held_after = 0;   // and after it
  bool in_parts = false;          // a death can interrupt the instruction (scatter.hpp)
};

// A crash barrier that the process passed: OUTLIVE_CRASH_BARRIER().
struct passed_barrier {
  const char* file = nullptr;  // a literal, which is at the same address in children
  std::uint32_t line = 0;
  std::uint32_t stores = 0;  // entries of the log by then
};

// What a transaction said of itself (<outlive/killtest/transaction_watch.hpp>).
enum class note_kind : std::uint32_t { begins, saved, ends };
struct transaction_note {
  note_kind what{};
  std::uint64_t begin = 0;  // offsets of the bytes that were saved
  std::uint64_t end = 0;
  std::uint32_t stores = 0;  // entries of the log by then
};

// Offsets of the mutexes on the thread's list of robust locks, the pending one included. Mutexes
// outside of the segment are left out.
using held_locks = std::vector<std::uint64_t>;
using stack_trace = std::vector<std::uintptr_t>;

// A finished log, which the traced process cannot reach any more.
struct recording {
  std::vector<logged_store> stores;
  std::vector<std::byte> bytes;
  std::vector<held_locks> held;     // the first is empty
  std::vector<stack_trace> stacks;  // the first is empty
  std::vector<passed_barrier> barriers;
  std::vector<transaction_note> notes;
  std::size_t setup = 0;            // how many stores came before the tested part
  std::uint32_t held_at_start = 0;  // of the tested part
  std::uint32_t held_at_end = 0;
  std::uint32_t executed = 0;  // stores of the tested part
  int pid = 0;
  engine by = engine::automatic;  // whose count of executed stores it is
  // Of an heir that recovers one mutex and leaves the others: its offset.
  std::optional<std::uint64_t> alone;

  // How many stores that process, or another one that does the same, has executed at `entries` of
  // the log, and when it is about to make the next entry. Executed stores are counted, because the
  // stores that change something differ between runs: a start time that is stored may already be
  // there.
  [[nodiscard]] std::uint32_t executed_after(std::size_t entries) const noexcept {
    return entries <= setup ? 0 : stores[entries - 1].executed;
  }
  [[nodiscard]] std::uint32_t executed_before_next(std::size_t entries) const noexcept {
    return entries < stores.size() ? stores[entries].executed - 1 : executed;
  }

  [[nodiscard]] std::span<const std::byte> old_bytes(const logged_store& store) const noexcept {
    return {bytes.data() + store.bytes, store.size};
  }
  [[nodiscard]] std::span<const std::byte> new_bytes(const logged_store& store) const noexcept {
    return {bytes.data() + store.bytes + store.size, store.size};
  }
};

class store_log {
 public:
  store_log();  // throws std::system_error
  ~store_log();
  store_log(const store_log&) = delete;
  store_log& operator=(const store_log&) = delete;

  // ---- of the reader, while nobody is traced
  void reset() noexcept;
  [[nodiscard]] recording read() const;
  [[nodiscard]] const char* overflow() const noexcept;  // what was full; nullptr: nothing

  // `before` and `after`: the bytes. `made`: where and by whom, without `bytes`.
  void add(logged_store made, const std::byte* before, const std::byte* after) noexcept;
  [[nodiscard]] std::size_t count() const noexcept;
  // Index of this list of robust locks, or of this stack. Equal ones are stored once.
  std::uint32_t held(const std::uint64_t* offsets, std::size_t count) noexcept;
  std::uint32_t stack(const std::uintptr_t* addresses, std::size_t count) noexcept;
  // More than there is room for are forgotten.
  void add_barrier(const char* file, std::uint32_t line) noexcept;
  void add_note(transaction_note made) noexcept;       // `stores` is set here
  void begin_tested(std::uint32_t held_now) noexcept;  // what came before was set-up
  void finish(std::uint32_t held_now, std::uint32_t executed) noexcept;

 private:
  struct shared;
  struct list_area;
  static std::uint32_t intern(list_area& area, std::uint64_t* room, std::size_t capacity,
                              const std::uint64_t* items, std::size_t count) noexcept;

  shared* shared_;
};

}  // namespace outlive::killtest::detail
