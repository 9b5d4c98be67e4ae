// Marks: the shared mutexes that a thread holds shared, as its thread record shows them to writers
// (docs/protocol.md, "Readers and writers"). Only the thread writes them, so nothing here needs a
// lock. A death at any store leaves marks of a dead thread, which are void.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "records/thread_slot.hpp"

namespace outlive::detail {

// A shared mutex's id: where it lies, in lines from the segment's base. Never 0: no object lies
// there.
inline std::uint32_t mark_id(std::uint64_t offset) noexcept {
  return static_cast<std::uint32_t>(offset / cache_line);
}

class own_marks {
 public:
  explicit own_marks(const attachment& mine) noexcept;

  [[nodiscard]] bool has(std::uint32_t id) const noexcept;
  // Adds a mark, one more if there is one. The thread's later loads come after the mark is visible
  // to every writer that looks later. Returns: false if there is no room.
  bool add(std::uint32_t id) noexcept;
  // Removes one mark. Returns: false if there is none.
  bool remove(std::uint32_t id) noexcept;

 private:
  void put(shared_u32& mark, std::uint32_t value) noexcept;

  mark_line& slots_;
  mark_line& spilled_;
  bool plain_;
};

// Records that ever had a thread: only these can have marks. All of them where the count is
// damaged, so that no writer overlooks a reader.
std::uint32_t records_in_use(const mapping& map) noexcept;

// Whether the record says that its thread lives and holds the mutex of that id shared. A claimer
// that has not written its name yet is not inside. The kernel marks the dead with some delay, and
// some never: see thread_records::is_dead().
bool is_reader(const mapping& map, std::uint32_t index, std::uint32_t id) noexcept;

// How many records say so. Readers come and go meanwhile unless the gate is closed.
std::uint32_t count_readers(const mapping& map, std::uint32_t id) noexcept;

// The ids of the shared mutexes that the record says its thread holds shared; one that it holds
// twice is there twice. Returns: how many. Whatever was stored there: the ids need not be of
// mutexes.
using mark_ids = std::array<std::uint32_t, 2 * mark_slots>;
std::size_t marks_in(const mapping& map, std::uint32_t index, mark_ids& ids) noexcept;

// The first record from `from` on whose slot for that id is not empty; `end` if there is none. Four
// at a time: it is most of what a writer does.
std::uint32_t next_marked(const mapping& map, std::uint32_t from, std::uint32_t end,
                          std::uint32_t id) noexcept;

}  // namespace outlive::detail
