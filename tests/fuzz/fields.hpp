// The fields of a scene's bytes, by name: what docs/format.md tells of them, so that a change hits
// a word and not any bytes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fuzz/scene.hpp"

namespace outlive::fuzz {

struct field {
  std::string name;  // "record[2].liveness.kind", "account.state", "header.threads"
  std::uint64_t offset;
  std::uint32_t size;  // 1 to 8: a number; more: text, or a whole structure
};

// All fields of a scene, in groups from which one is chosen with the same likelihood: there are
// thousands of marks, and three internal locks.
class field_table {
 public:
  explicit field_table(const scene& of);

  [[nodiscard]] const std::vector<std::vector<field>>& groups() const noexcept { return groups_; }
  // Also "@OFFSET:SIZE", which is any bytes. Throws std::invalid_argument.
  [[nodiscard]] field find(const std::string& name) const;
  [[nodiscard]] std::optional<std::uint64_t> offset_of(const std::string& name) const;

 private:
  void add(std::string name, std::uint64_t offset, std::size_t size);
  void begin_group() { groups_.emplace_back(); }
  void add_native(const std::string& name, std::uint64_t offset);
  void add_header();
  void add_internal_lock(const std::string& name, std::uint64_t offset);
  void add_participants();
  void add_records();
  void add_marks();
  void add_crash_notes();
  void add_names();
  void add_deaths();
  void add_index();
  void add_blocks();
  void add_object(const std::string& name, std::uint64_t offset);
  void add_lock(const std::string& name, std::uint64_t offset);
  void add_queue(const std::string& name, std::uint64_t offset);

  const scene& scene_;
  std::uint64_t total_;
  std::vector<std::vector<field>> groups_;
  std::map<std::string, field> by_name_;
};

}  // namespace outlive::fuzz
