// A copy of an owner_death in shared memory: the report itself ends with the repair, and its heir
// may die in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <outlive/outlive.hpp>

namespace outlive::testing {

template <std::size_t Size>
struct text_copy {
  char text[Size] = {};
  void operator=(std::string_view from) {
    std::memset(text, 0, Size);
    std::memcpy(text, from.data(), from.size() < Size ? from.size() : Size - 1);
  }
  std::string_view view() const { return {text}; }
};

struct thread_copy {
  bool known = false;
  pid_t pid = 0;
  pid_t tid = 0;
  std::uint64_t start_time = 0;
  std::uint64_t note = 0;
  text_copy<32> thread_name;
  text_copy<32> command_name;
  text_copy<128> as_text;

  void operator=(const thread_identity& from) {
    known = from.known;
    pid = from.pid;
    tid = from.tid;
    start_time = from.start_time;
    note = from.note;
    thread_name = from.thread_name;
    command_name = from.command_name;
    as_text = to_string(from);
  }
};

struct place_copy {
  std::uint64_t address = 0;
  std::uint64_t offset = 0;
  text_copy<256> module;
  text_copy<512> where;
  std::size_t build_id_size = 0;

  void operator=(const code_location& from) {
    address = from.address;
    offset = from.offset;
    module = from.module;
    where = from.where();
    build_id_size = from.build_id.size();
  }
  void operator=(stack_frame from) {
    name_function(from);
    address = from.address;
    offset = from.offset;
    module = from.module;
    where = to_string(from);
    build_id_size = from.build_id.size();
  }
};

struct report_copy {
  const robust_mutex* mutex = nullptr;
  text_copy<64> mutex_name;
  text_copy<64> lock_class;
  thread_copy owner;
  place_copy acquired_at;
  unsigned attempt = 0;
  unsigned max_attempts = 0;
  bool has_former_heir = false;
  thread_copy former_heir;
  std::size_t held_count = 0;
  bool held_cut = false;
  const robust_mutex* held[owner_death::max_reported] = {};
  place_copy held_at[4];  // of the first four

  void operator=(const owner_death& from) {
    mutex = &from.mutex();
    mutex_name = from.mutex_name();
    lock_class = from.lock_class();
    owner = from.owner();
    acquired_at = from.acquired_at();
    attempt = from.attempt();
    max_attempts = from.max_attempts();
    has_former_heir = from.former_heir() != nullptr;
    if (has_former_heir) former_heir = *from.former_heir();
    held_count = from.held_count();
    held_cut = from.held_cut();
    for (std::size_t i = 0; i < held_count; ++i) {
      held[i] = from.held(i).mutex;
      if (i < 4) held_at[i] = from.held(i).acquired_at;
    }
  }
};

}  // namespace outlive::testing
