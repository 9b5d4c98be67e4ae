// The check of a segment's bytes against docs/format.md, in parts. Each part only reads, follows no
// offset that it has not checked, ends, and reports what it finds. That may include a state that
// others are just leaving, so segment_view::problems() looks again.
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
  // The commonest problem: a number above its limit.
  void at_most(std::uint64_t found, std::uint64_t limit, const std::string& object,
               const char* what);
  // Reserved bytes are zero.
  void zero(const void* begin, std::size_t size, const std::string& object, const char* what);

  [[nodiscard]] std::vector<segment_problem>& all() noexcept { return all_; }

 private:
  std::vector<segment_problem> all_;
};

// Returns: how many names count; 0 if the count is damaged, which check_header() reports.
[[nodiscard]] std::uint32_t count_of_names(const mapping& map) noexcept;
// Whether the entry exists and is of this kind.
[[nodiscard]] bool is_name(const mapping& map, std::uint32_t index, name_kind kind) noexcept;
// Whether a text ends within its room.
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
