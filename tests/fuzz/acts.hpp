// The operations by name, each in the file of what it is about; operations.cpp runs them.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "fuzz/objects.hpp"

namespace outlive::fuzz {

using namespace std::chrono_literals;

inline constexpr auto patience = 1ms;

// What one child has of the segment.
struct visitor {
  visitor(int fd, const std::vector<std::uint64_t>& account_offsets) : seg(segment::from_fd(fd)) {
    for (const std::uint64_t each : account_offsets) accounts.push_back(static_cast<const char*>(seg.base()) + each);
  }
  void check_account(const pair& value) {
    const auto* const mutex = reinterpret_cast<const char*>(&value) - account::value_offset();
    for (const void* each : accounts) {
      if (each == mutex) return;
    }
    failure = "the repair of accounts was called for memory that is no account";
  }

  segment seg;
  std::vector<const void*> accounts;  // no other memory may be given to their repair
  std::vector<repair_registration> registrations;
  std::vector<lease<job>> leases;
  std::vector<permit> held_permits;
  std::string failure;  // found where nothing can be thrown
  int made = 0;
};

template <class T>
void with(visitor& on, const char* name, const std::function<void(T&)>& act) {
  if (T* const found = on.seg.find<T>(name)) act(*found);
}

void lock_account(visitor& on, const char* name);

using act = std::function<void(visitor&)>;
using act_table = std::map<std::string, act>;

void add_lock_acts(act_table& made);
void add_companion_acts(act_table& made);
void add_object_acts(act_table& made);
void add_looks(act_table& made);
// What must be found: the fuzzer's test of itself.
void add_failures(act_table& made);

}  // namespace outlive::fuzz
