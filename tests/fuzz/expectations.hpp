// What must still be so in a damaged segment, when the damage is one wrong number: exclusion,
// repairs before locks, objects where they were.
//
// Several lies can agree, and a structure that is copied whole can be another valid one; then only
// the rules of every case are left. Nor is anything expected of what the lie itself is about.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/fuzz_case.hpp"

namespace outlive::fuzz {

class expectations {
 public:
  expectations(const fuzz_case& of, const scene& from, const field_table& fields);

  // Where an object lies, from the segment's base.
  struct extent {
    std::uint64_t offset;
    std::uint64_t size;
  };
  [[nodiscard]] const std::map<std::string, extent>& objects() const noexcept { return objects_; }

  // Whether there is one lie alone, and it is not about any of these: names of fields, or their
  // beginnings.
  [[nodiscard]] bool holds_unless(const std::vector<std::string>& about) const;
  // Whether the lie is a block's state, or in the list of freed ones: then memory that lives may be
  // called free.
  [[nodiscard]] bool tells_a_state() const;
  // The same of an object that a living thread has in the scene "deaths", or dead ones had.
  [[nodiscard]] bool is_held_by_bystander(const std::string& object) const;
  [[nodiscard]] bool needs_repair(const std::string& object) const;

 private:
  std::map<std::string, extent> objects_;
  std::string scene_;
  std::string lie_;  // its field
  bool one_lie_ = false;
  std::vector<std::string> of_bystander_;  // its record and marks
};

}  // namespace outlive::fuzz
