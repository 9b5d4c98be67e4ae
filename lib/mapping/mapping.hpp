// mapping: a segment as this process has it mapped, and the table of all mappings.
//
// A process has one mapping of a segment (found by device and inode), and it never moves. It is
// owned by the users' handles and by each thread with a record in it, so that it stays mapped while
// a liveness mutex in it is held: glibc's robust list runs through those (hazards A3 to A7). If a
// thread ends while it holds a lock, the mapping stays until that thread is gone, because the
// kernel has yet to walk its list.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "format/layout.hpp"
#include "sys/shared_memory.hpp"

namespace outlive::detail {

class mapping : public std::enable_shared_from_this<mapping> {
 public:
  // Requires: read_constants() has accepted the constants, so that they name the file's inode.
  mapping(file_descriptor file, void* base, const segment_constants& constants,
          std::uint64_t device);
  mapping(const mapping&) = delete;
  mapping& operator=(const mapping&) = delete;
  ~mapping();

  // The constants that were checked: a copy, so that later damage to the header does not matter.
  [[nodiscard]] const segment_constants& constants() const noexcept { return constants_; }
  [[nodiscard]] const region_layout& layout() const noexcept { return layout_; }
  [[nodiscard]] char* base() const noexcept { return base_; }
  [[nodiscard]] std::uint64_t size() const noexcept { return constants_.total_size; }
  [[nodiscard]] std::uint64_t device() const noexcept { return device_; }
  // -1 if somebody else has closed it: the number may lead to another file by now.
  [[nodiscard]] int fd() const noexcept;
  // The state of the file now, by the descriptor, or by the name if that still leads to this file.
  // Nothing if neither leads to it.
  [[nodiscard]] std::optional<shared_memory::file_info> file_now() const;
  [[nodiscard]] std::string describe() const;  // for messages: segment "NAME"

  [[nodiscard]] segment_header& header() const noexcept {
    return *reinterpret_cast<segment_header*>(base_);
  }
  [[nodiscard]] std::uint32_t record_count() const noexcept {
    return static_cast<std::uint32_t>(layout_.record_count);
  }
  [[nodiscard]] thread_record& record(std::uint32_t index) const noexcept {
    return *reinterpret_cast<thread_record*>(base_ + layout_.records +
                                             index * layout_.record_stride);
  }
  [[nodiscard]] held_entry* held(std::uint32_t index) const noexcept {
    return reinterpret_cast<held_entry*>(&record(index) + 1);
  }
  [[nodiscard]] mark_line& mark_slots_of(std::uint32_t index) const noexcept {
    return region<mark_line>(layout_.marks)[index];
  }
  [[nodiscard]] mark_line& spilled_marks_of(std::uint32_t index) const noexcept {
    return region<mark_line>(layout_.marks)[record_count() + index];
  }
  [[nodiscard]] bool has_plain_marks() const noexcept {
    return (constants_.features & feature_plain_marks) != 0;
  }
  [[nodiscard]] crash_note& crash_at(std::uint32_t index) const noexcept {
    return region<crash_note>(layout_.crashes)[index];
  }
  [[nodiscard]] participant& participant_at(std::uint32_t index) const noexcept {
    return region<participant>(layout_.participants)[index];
  }
  [[nodiscard]] name_entry& name_at(std::uint32_t index) const noexcept {
    return region<name_entry>(layout_.names)[index];
  }
  [[nodiscard]] death_entry& death_at(std::uint64_t index) const noexcept {
    return region<death_entry>(layout_.deaths)[index];
  }
  [[nodiscard]] index_slot* index() const noexcept { return region<index_slot>(layout_.index); }
  [[nodiscard]] char* object_line(std::uint64_t line) const noexcept {
    return base_ + layout_.objects + line * cache_line;
  }

  [[nodiscard]] bool contains(const void* address) const noexcept {
    return static_cast<std::uint64_t>(static_cast<const char*>(address) - base_) < size();
  }
  [[nodiscard]] std::uint64_t offset_of(const void* address) const noexcept {
    return static_cast<std::uint64_t>(static_cast<const char*>(address) - base_);
  }
  // The lock at an offset that was read from shared memory; nullptr unless a lock of a known kind
  // is there. `native`: pthread calls may be made on it. `shared`: it is the writers' lock of a
  // shared mutex.
  struct lock_view {
    lock_bytes* lock = nullptr;
    bool native = false;
    bool shared = false;
  };
  [[nodiscard]] lock_view lock_at(std::uint64_t offset) const noexcept;

  // Index of this process's participant. If it has none yet, as after a fork, calls `join`, which
  // registers it and returns its index. Throws what `join` throws.
  std::uint32_t participant_index(std::uint32_t (*join)(mapping&));
  // The same, or nothing if it has none yet.
  [[nodiscard]] std::optional<std::uint32_t> known_participant() const noexcept;

  // Of stale_guards alone. The process in which no guard can be stale; 0 before an attachment.
  std::atomic<std::uint64_t> own_guards_epoch{0};
  // Between the beginning and the end of a fork.
  bool clean_at_fork = false;

 private:
  friend class mapping_table;
  friend class open_segments;
  template <class T>
  [[nodiscard]] T* region(std::uint64_t offset) const noexcept {
    return reinterpret_cast<T*>(base_ + offset);
  }

  file_descriptor file_;  // guarded by the table's mutex, once the mapping is in the table
  char* base_;
  segment_constants constants_;
  region_layout layout_;
  std::uint64_t device_;
  // of the process whose participant_ it is; written after it
  std::atomic<std::uint64_t> participant_epoch_{0};
  // Written under the table's mutex.
  std::atomic<std::uint32_t> participant_{0};
  // Handles that keep the segment open (open_segments.hpp).
  std::atomic<std::uint32_t> handles_{0};
};

// All mappings of the process. Never destroyed, because threads lock during and after static
// destruction. Its mutex is held over a fork.
class mapping_table {
 public:
  static mapping_table& instance();

  // The mapping that contains the address, and shared ownership of it; empty if there is none.
  static std::shared_ptr<mapping> find(const void* address) noexcept;

  std::mutex mutex;

  // Requires of the rest: mutex is held.
  [[nodiscard]] std::shared_ptr<mapping> find_file(std::uint64_t device,
                                                   std::uint64_t inode) const noexcept;
  [[nodiscard]] bool knows(const void* address) const noexcept;
  // After this, insert() cannot fail.
  void make_room() { all_.reserve(all_.size() + 1); }
  void insert(mapping* made) noexcept;
  [[nodiscard]] const std::vector<mapping*>& all() const noexcept { return all_; }
  void erase(const mapping* which) noexcept { std::erase(all_, which); }

 private:
  // The first mapping that begins above the address.
  [[nodiscard]] std::vector<mapping*>::const_iterator above(const void* address) const noexcept;

  // Sorted by address. ~mapping removes the entry, so weak_from_this() of an entry may have
  // expired.
  std::vector<mapping*> all_;
};

}  // namespace outlive::detail
