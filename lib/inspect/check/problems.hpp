// The check of a segment's bytes against docs/format.md, in parts. Each part only reads, follows no
// offset that it has not judged, ends, and tells what it finds; a state that others are just
// leaving may be among that: segment_view::problems() looks again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <outlive/segment_view.hpp>

#include "mapping/mapping.hpp"

namespace outlive::detail {

class problem_list {
 public:
  static constexpr std::size_t most = 1000;

  void add(std::string object, std::string found, std::string expected) {
    if (all_.size() < most)
      all_.push_back({std::move(object), std::move(found), std::move(expected)});
  }
  // The commonest: a number that is beyond what it may be.
  void at_most(std::uint64_t found, std::uint64_t limit, const std::string& object,
               const char* what);
  // What the format reserves is zero.
  void zero(const void* begin, std::size_t size, const std::string& object, const char* what);

  [[nodiscard]] std::vector<segment_problem>& all() noexcept { return all_; }

 private:
  std::vector<segment_problem> all_;
};

// How many names count; 0 where that cannot be told, which check_header() tells.
[[nodiscard]] std::uint32_t count_of_names(const mapping& map) noexcept;
// Whether the entry exists and is of this kind.
[[nodiscard]] bool is_name(const mapping& map, std::uint32_t index, name_kind kind) noexcept;
// Whether a text of the format ends within its room.
[[nodiscard]] bool is_terminated(const char* text, std::size_t room) noexcept;

void check_header(problem_list& found, const mapping& map);
void check_names(problem_list& found, const mapping& map);
void check_participants(problem_list& found, const mapping& map);
// thread records, marks, crash notes
void check_records(problem_list& found, const mapping& map);
void check_deaths(problem_list& found, const mapping& map);
void check_directory(problem_list& found, const mapping& map);  // blocks, freed lists, index
void check_locks(problem_list& found, const mapping& map);

}  // namespace outlive::detail
