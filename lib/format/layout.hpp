// The shared bytes of a segment: header, participants, thread records, names, directory. Locks and
// companions are in object_layout.hpp, deaths in death_layout.hpp. docs/format.md repeats all of
// them. Any change is a change of format_version.
//
// Order of the regions: header | participants | thread records | marks | crash notes | names |
// death log | directory index | objects. Their places follow from the options in the header alone
// (region_layout), so that a damaged offset cannot lead astray.
//
// Each field names its writer: (C) constant once the segment has a name; (R) the thread that holds
// the record's liveness mutex; (L) the thread that holds the lock; (D) the holder of the directory
// mutex; (N) the holder of the names mutex; (A) anybody, by one atomic operation.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "format/death_layout.hpp"
#include "format/object_layout.hpp"

namespace outlive::detail {

inline constexpr std::uint64_t segment_magic = 0x314556494c54554f;  // "OUTLIVE1"
inline constexpr std::uint32_t format_version = 2;

// Readers of shared mutexes mark themselves by plain stores, and writers order these by the system
// call membarrier. Without the feature readers use locked exchanges. All processes must do the
// same.
inline constexpr std::uint32_t feature_plain_marks = 1;

// A count below 65,536, with its complement in the high half of the word: one changed byte never
// makes another valid count.
constexpr std::uint32_t guarded_count(std::uint32_t count) noexcept {
  return (~count & 0xffff) << 16 | count;
}
constexpr bool is_guarded_count(std::uint32_t word) noexcept {
  return word == guarded_count(word & 0xffff);
}

// ---- header ------------------------------------------------------------------------------------
struct segment_constants {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t features;  // unknown bits are refused
  std::uint64_t abi;       // abi_signature()
  std::uint64_t total_size;
  std::uint64_t object_bytes;  // options.size, rounded up
  std::uint64_t pid_namespace;
  char boot_id[16];
  std::uint32_t directory_capacity;
  std::uint32_t threads;
  std::uint32_t participants;
  std::uint32_t max_held;
  std::uint32_t attempts;
  std::uint32_t lock_classes;
  std::uint32_t mode;
  std::uint32_t time_namespace;
  std::uint64_t inode;  // of the segment's file; a copy has another
  char name[208];
  std::uint64_t checksum;  // over all of the above
};
static_assert(offsetof(segment_constants, checksum) == 312 && sizeof(segment_constants) == 320);

// Places for held entries in a thread record. The last one is kept for a reader of a shared mutex,
// who has the writers' mutex for a moment: whether a writer is inside must not decide whether a
// thread with max_held mutexes can read.
constexpr std::uint32_t held_places(const segment_constants& of) noexcept {
  return of.max_held + 1;
}

inline constexpr std::size_t free_lists = 64;

// Derived from the blocks, and counted again after a thread died with the directory mutex.
struct directory_state {
  // (D) blocks in use, in lines, from the start of the objects; value and complement
  shared_u64 end;
  // (D) objects
  shared_u32 live;
  // (D) 1: a count was begun and not finished
  shared_u32 stale;
  // (D) first freed block of a type, by its hash: line + 1, 0 for none
  std::uint32_t freed[free_lists];
};
static_assert(sizeof(directory_state) == 272);

// The library's own locks, as entrants name them.
enum class internal_kind : std::uint32_t { adoption = 0, directory = 1, names = 2 };
inline constexpr std::size_t max_entrants = 128;

struct alignas(4096) segment_header {
  segment_constants constants;  // (C)
  internal_lock adoption;       // serialises adopters of orphans (U6)
  internal_lock directory;
  internal_lock names;
  // guarded_count() of the highest claimed record + 1; only grows
  shared_u32 records_in_use;
  // (N) guarded_count() of the entries of the names table that are complete; only grows
  shared_u32 name_count;
  // numbers ever given out in the death log
  shared_u64 deaths;
  // by internal_kind; counted by the lock's holder
  shared_u64 internal_acquisitions[3];
  // (A) the thread that adopts the adoption mutex, as in entrants; 0: none
  shared_u64 rescuer;
  // (A) number of entrants that found no free place
  shared_u32 unlisted;
  std::uint8_t reserved[4];
  // (A) owner deaths that were met, each once
  shared_u64 owner_deaths;
  directory_state directory_counts;  // (D)
  // (A) Threads at internal locks: start time (its low half) << 32 | internal_kind << 30 | thread
  // id; 0: none. From before the native lock until after the native unlock. Entries of dead threads
  // stay.
  shared_u64 entrants[max_entrants];
};
static_assert(sizeof(segment_header) == 4096 && std::is_standard_layout_v<segment_header>);
static_assert(offsetof(segment_header, adoption) == 320 &&
              offsetof(segment_header, directory) == 384);
static_assert(offsetof(segment_header, names) == 448 &&
              offsetof(segment_header, records_in_use) == 512);
static_assert(offsetof(segment_header, deaths) == 520 &&
              offsetof(segment_header, directory_counts) == 576);
static_assert(offsetof(segment_header, internal_acquisitions) == 528 &&
              offsetof(segment_header, rescuer) == 552);
static_assert(offsetof(segment_header, unlisted) == 560 &&
              offsetof(segment_header, owner_deaths) == 568 &&
              offsetof(segment_header, entrants) == 848);

// ---- participants ------------------------------------------------------------------------------
inline constexpr std::size_t max_modules = 64;

struct module_entry {
  std::uint64_t base;
  std::uint64_t begin;
  std::uint64_t end;
  std::uint16_t path;  // offset into strings
  std::uint8_t build_id_size;
  std::uint8_t reserved;
  char build_id[20];
};
static_assert(sizeof(module_entry) == 48);

// A process. `identity` is claimed by one CAS from a dead identity. The claiming process writes
// everything else.
struct alignas(cache_line) participant {
  shared_u64 identity;  // pid << 32 | low half of the start time; 0: free
  std::uint64_t start_time;
  std::uint64_t pid_namespace;
  shared_u32 module_count;    // complete entries
  std::uint32_t modules_cut;  // 1: there were more than fit
  char command[16];
  std::uint32_t string_bytes;
  std::uint32_t reserved[3];
  module_entry modules[max_modules];
  char strings[3008];  // paths, each with its terminating zero
};
static_assert(sizeof(participant) == 6144 && offsetof(participant, modules) == 64 &&
              offsetof(participant, strings) == 3136);

// A mutex that the thread holds, acquires or releases. Written before the native lock, removed
// after the native unlock: an extra entry is harmless, a missing one is not (U10). `place` 0 is an
// empty entry.
struct held_entry {
  // (R) the lock's offset from the base; bit 0: this acquisition ran a repair
  shared_u64 place;
  // (R)
  shared_u64 return_address;
};
static_assert(sizeof(held_entry) == 16);
inline constexpr std::uint64_t held_recovered = 1;
inline constexpr std::uint64_t held_offset_mask = ~std::uint64_t{63};

inline constexpr std::uint64_t generation_bits = (std::uint64_t{1} << 48) - 1;

struct alignas(cache_line) thread_record {
  union {
    // held by the thread for life; its word shows others whether the thread lives
    pthread_mutex_t liveness;
    char liveness_room[native_mutex_bytes];
  };
  // (R) 48 bits; counts the threads that had this record; a lock's state keeps the low 15 bits
  shared_u64 generation;
  // (R)
  shared_u32 tid;
  // (R)
  shared_u32 pid;
  // (R)
  shared_u64 start_time;
  // (R)
  char name[16];
  // (R) index
  shared_u32 participant;
  // (R) the queue or permits for which the thread sleeps: offset in lines; 0: none. A hint for
  // supervisors, any value is valid: a thread that was killed asleep leaves its own
  shared_u32 sleeps_for;
  shared_u64 acquisitions;  // (R) for sampling
  shared_u64 waits;         // (R)
  shared_u64 note;          // (R)
  // (R, and who takes what the thread hands over) lower half: how many of its permits and jobs are
  // on their way to another thread; upper half: low half of the generation at which that counts. A
  // hint for supervisors, any value is valid
  shared_u64 handed;
  // held_entry held[held_places()] follows
};
static_assert(sizeof(thread_record) == 128 && offsetof(thread_record, generation) == 48 &&
              offsetof(thread_record, tid) == 56);
static_assert(offsetof(thread_record, start_time) == 64 && offsetof(thread_record, note) == 112);

// Records that are kept for recovery under pressure, beside `threads` (U3).
inline constexpr std::uint32_t spare_records = 2;

// Which shared mutexes a record's thread holds shared. A mutex has an id, its offset in lines. Its
// mark is in slot id % 16 of the record, or in one of the record's spilled marks; then that slot
// has the bit `mark_spilled`. Marks spill for a second mutex with the same remainder, and for one
// held twice. A mark does not move, and counts while the record's thread lives.
inline constexpr std::size_t mark_slots = 16;
inline constexpr std::uint32_t mark_spilled = std::uint32_t{1} << 31;
struct alignas(cache_line) mark_line {
  shared_u32 at[mark_slots];  // (R)
};
static_assert(sizeof(mark_line) == cache_line);
// The slots of all records, then the spilled marks of all records: a writer reads all slots, and
// few of the spilled marks.
inline constexpr std::size_t marks_bytes = 2 * sizeof(mark_line);

// ---- names: lock classes and object types ------------------------------------------------------
inline constexpr std::size_t max_class_bytes = 63;
inline constexpr std::size_t max_type_bytes = 143;

// The value fields describe, in a lock class, the value that its locks guard; they are written when
// that is bound, before `guards`. In an object's type they describe the innermost value, and are
// constant.
struct name_entry {
  // (C) of the whole name; for an object's type: of its whole identity
  std::uint64_t hash;
  // hash of the type that locks of this class guard; guards_nothing; 0: not bound yet. For a
  // guarded<T>: that of T
  shared_u64 guards;
  // (N)
  std::uint64_t value_size;
  // (N) offset of the guarded value from its mutex
  std::uint32_t value_offset;
  // (N) type_version
  std::uint32_t version;
  // (N)
  std::uint32_t alignment;
  // (C) of text
  std::uint16_t length;
  // (C) name_kind
  std::uint16_t kind;
  // (C) cut at 143 bytes
  char text[144];
  // (C) over hash, length, kind and text, and all other constant fields
  std::uint64_t checksum;
};
static_assert(sizeof(name_entry) == 192 && offsetof(name_entry, checksum) == 184);
// "nothing": one changed byte never makes it "not bound yet"
inline constexpr std::uint64_t guards_nothing = 0x676e6968746f6e;
inline constexpr std::uint64_t guards_a_type = std::uint64_t{1}
                                               << 63;  // set in each hash of a type
enum class name_kind : std::uint16_t { lock_class = 1, object_type = 2 };

// ---- directory ---------------------------------------------------------------------------------
// Index: open addressing, at least twice as many slots as objects, in buckets of a cache line. A
// slot is empty, removed, or names a block:
//
//   63..40  tag: the top bits of the name's hash
//   39..32  check: makes the exclusive or of all eight bytes 0, so that one changed byte never
//           makes another valid slot
//   31..0   line of the block + 1
//
// One word, so that a look-up never sees half a slot. The index is derived from the blocks.
using index_slot = shared_u64;  // (D)
static_assert(sizeof(index_slot) == 8);
inline constexpr std::uint64_t slots_in_bucket = cache_line / sizeof(index_slot);
inline constexpr std::uint64_t slot_empty = 0;
// "rr", line 0; passes its own check
inline constexpr std::uint64_t slot_removed = 0x7272000000000000;

enum class block_state : std::uint32_t {
  // under the directory mutex; after a death: never finished
  constructing = 0x736e6f63,
  live = 0x6576696c,
  destroying = 0x74736564,
  freed = 0x65657266,
};
inline constexpr std::uint32_t block_magic = 0x6b636c62;  // "blck"
inline constexpr std::size_t inline_name_bytes = 16;

// Lies one line before its object. A name of more than 16 bytes is behind the object. There are two
// checks, because a freed block gets another name, while its extent must be valid after a death at
// any time.
struct block_header {
  std::uint32_t magic;
  // over type, size and lines, which are constant while the memory is a block
  std::uint32_t check;
  // hash of the type's identity
  std::uint64_t type;
  // of the object
  std::uint64_t size;
  // of the whole block
  std::uint32_t lines;
  // block_state
  shared_u32 state;
  // next block of the same kind (free_lists.hpp): line + 1; 0: none
  std::uint32_t next_freed;
  // index into names
  std::uint32_t type_name;
  // over type_name, name_length and the name; in a freed block: the first one of the next kind,
  // line + 1
  std::uint32_t name_check;
  std::uint16_t name_length;
  std::uint16_t reserved;
  char name[inline_name_bytes];
};
static_assert(sizeof(block_header) == cache_line && offsetof(block_header, state) == 28 &&
              offsetof(block_header, name) == 48);

// ---- where the regions lie ---------------------------------------------------------------------
struct region_layout {
  std::uint64_t participants, records, record_stride, record_count, marks, crashes, names, deaths,
      index, index_slots, objects, object_lines, total;

  // Requires: the numbers have passed has_valid_numbers() (header.cpp).
  static constexpr region_layout of(const segment_constants& c) noexcept {
    region_layout at{};
    at.record_count = std::uint64_t{c.threads} + spare_records;
    at.record_stride = round_up(
        sizeof(thread_record) + std::uint64_t{held_places(c)} * sizeof(held_entry), cache_line);
    at.index_slots = 16;
    while (at.index_slots < std::uint64_t{c.directory_capacity} * 2) at.index_slots *= 2;
    at.participants = sizeof(segment_header);
    at.records = at.participants + std::uint64_t{c.participants} * sizeof(participant);
    at.marks = at.records + at.record_count * at.record_stride;
    at.crashes = at.marks + at.record_count * marks_bytes;
    at.names = at.crashes + at.record_count * sizeof(crash_note);
    at.deaths = at.names + std::uint64_t{c.lock_classes} * sizeof(name_entry);
    at.index = at.deaths + death_log_capacity * sizeof(death_entry);
    at.objects = round_up(at.index + at.index_slots * sizeof(index_slot), 4096);
    at.object_lines = c.object_bytes / cache_line;
    at.total = at.objects + round_up(c.object_bytes, 4096);
    return at;
  }
  static constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t to) noexcept {
    return (value + to - 1) / to * to;
  }
};

}  // namespace outlive::detail
