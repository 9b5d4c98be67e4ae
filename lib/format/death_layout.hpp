// The shared bytes about deaths: notes of crashing threads, and the death log. See layout.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "format/object_layout.hpp"

namespace outlive::detail {

// ---- crash notes -------------------------------------------------------------------------------
inline constexpr std::size_t crash_frames = 32;

// One for each record: what its thread wrote about the signal that was about to kill it. It counts
// only for the life that it names (a claim raises the generation), and only while the thread has
// locked nothing since: a thread can jump out of its handler and go on.
struct alignas(cache_line) crash_note {
  // (R) the record's generation, written last; 0: none. Cleared before anything else is written
  shared_u64 life;
  // (R) the record's, at the crash
  shared_u64 acquisitions;
  // (R) si_addr
  shared_u64 address;
  // (R)
  shared_u32 signal;
  // (R) si_code
  shared_u32 code;
  // (R) 1: another signal came while this one was recorded
  shared_u32 nested;
  // (R) of frames; written after them. 1 when the note is first complete, more if the stack could
  // be unwound
  shared_u32 count;
  std::uint64_t reserved[3];
  // (R) addresses: the instruction that crashed, then return addresses
  shared_u64 frames[crash_frames];
};
static_assert(sizeof(crash_note) == 320 && std::is_standard_layout_v<crash_note>);
static_assert(offsetof(crash_note, signal) == 24 && offsetof(crash_note, count) == 36 &&
              offsetof(crash_note, frames) == 64);

// ---- death log ---------------------------------------------------------------------------------
inline constexpr std::uint32_t death_log_capacity = 256;

struct logged_thread_bytes {
  std::uint32_t pid;
  std::uint32_t tid;
  std::uint64_t start_time;
  std::uint64_t note;
  std::uint32_t known;
  std::uint32_t reserved;
  char name[16];
  char command[16];
};
static_assert(sizeof(logged_thread_bytes) == 64);

struct logged_death_bytes {
  std::uint64_t when_ns;  // since the epoch
  std::uint64_t lock_offset;
  std::uint32_t lock_class;
  std::uint32_t attempt;
  std::uint64_t module_offset;
  logged_thread_bytes owner;
  logged_thread_bytes heir;
  char module[144];  // path; its end if it is longer
};
static_assert(sizeof(logged_death_bytes) == 304);

inline constexpr std::size_t logged_frames = 16;
inline constexpr std::size_t logged_modules = 4;

struct logged_module_bytes {
  char path[104];  // its end if it is longer
  std::uint32_t build_id_size;
  char build_id[20];
};
static_assert(sizeof(logged_module_bytes) == 128);

// The owner's crash note, with modules instead of addresses of a dead process.
struct logged_crash_bytes {
  std::uint32_t signal;  // 0: none, and nothing below counts
  std::uint32_t code;
  std::uint64_t address;
  std::uint32_t nested;
  std::uint32_t count;
  // bits 63..56: index into modules + 1, 0 for none; below: offset in it, or the address
  std::uint64_t frames[logged_frames];
  logged_module_bytes modules[logged_modules];
};
static_assert(sizeof(logged_crash_bytes) == 664);
inline constexpr unsigned logged_module_shift = 56;

// A writer claims the slot by a compare-and-swap of `number` to {busy, itself, its number}, and
// publishes by another one.
struct alignas(cache_line) death_entry {
  shared_u64 number;         // death_word
  shared_u64 result;         // death_result: how it ended, and how long the repair took
  std::uint64_t met_before;  // 1: an earlier entry is of the same death
  logged_death_bytes death;
  logged_crash_bytes crash;
  std::uint64_t spare[4];
};
static_assert(sizeof(death_entry) == 1024 && offsetof(death_entry, death) == 24 &&
              offsetof(death_entry, crash) == 328);

}  // namespace outlive::detail
