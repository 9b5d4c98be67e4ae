// The operations by name, each in the file of what it is about; operations.cpp runs them.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "fuzz/expectations.hpp"
#include "fuzz/objects.hpp"
#include "fuzz/operations.hpp"

namespace outlive::fuzz {

using namespace std::chrono_literals;

inline constexpr auto patience = 1ms;

// What one child has of the segment.
struct visitor {
  visitor(const segment_file& file, const expectations& facts)
      : seg(file.name.empty() ? segment::from_fd(file.fd) : segment::open(file.name)),
        expected(facts) {
    for (const char* name : account_names) {
      if (const auto found = facts.objects().find(name); found != facts.objects().end())
        accounts.push_back(at(found->second.offset));
    }
  }
  [[nodiscard]] const char* at(std::uint64_t offset) const {
    return static_cast<const char*>(seg.base()) + offset;
  }
  void check_account(const pair& value) {
    const auto* const mutex = reinterpret_cast<const char*>(&value) - account::value_offset();
    if (std::find(accounts.begin(), accounts.end(), mutex) == accounts.end()) {
      failure = "the repair of accounts was called for memory that is no account";
    }
    repaired_ones.insert(mutex);
  }
  // An object may not be found, with an error or without, but never another one in its place.
  void check_place(const char* name, const void* found) const {
    const auto known = expected.objects().find(name);
    if (known == expected.objects().end() || !expected.holds_unless({})) return;
    if (found != at(known->second.offset))
      throw wrong{std::string(name) + " is found where another object is"};
  }
  // Memory of an object that lives must not be given out again.
  void check_fresh(const void* block, std::size_t size) const {
    if (!expected.holds_unless({}) || expected.tells_a_state()) return;
    for (const auto& [name, place] : expected.objects()) {
      if (gone.contains(name)) continue;
      if (at(place.offset) < static_cast<const char*>(block) + size &&
          static_cast<const char*>(block) < at(place.offset + place.size))
        throw wrong{"the memory of " + name + " is given out a second time"};
    }
  }

  segment seg;
  const expectations& expected;
  std::set<const void*> repaired_ones;  // or built anew
  std::set<std::string> gone;           // destroyed here
  std::vector<const void*> accounts;    // no other memory may be given to their repair
  std::vector<repair_registration> registrations;
  std::vector<lease<job>> leases;
  std::vector<permit> held_permits;
  std::string failure;  // found where nothing can be thrown
  int made = 0;
};

template <class T>
void with(visitor& on, const char* name, const std::function<void(T&)>& act) {
  T* const found = on.seg.find<T>(name);
  if (found == nullptr) return;
  on.check_place(name, found);
  act(*found);
}

void lock_account(visitor& on, const char* name);
// Of an account that was had: whether it may have been.
void check_lock(const visitor& on, const std::string& name, const account& had);

using act = std::function<void(visitor&)>;
using act_table = std::map<std::string, act>;
// What can be done with a segment that cannot be opened, too.
using file_act = std::function<void(const segment_file&)>;
using file_act_table = std::map<std::string, file_act>;

void add_lock_acts(act_table& made);
void add_companion_acts(act_table& made);
void add_object_acts(act_table& made);
void add_looks(act_table& made);
// What needs the segment's name: rarely done, for a process costs as much as many cases.
void add_file_acts(file_act_table& made);
// What must be found: the fuzzer's test of itself.
void add_failures(act_table& made);
void add_file_failures(file_act_table& made);

}  // namespace outlive::fuzz
