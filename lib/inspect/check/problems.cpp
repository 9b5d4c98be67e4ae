#include "inspect/check/problems.hpp"

#include <algorithm>
#include <cstring>

#include "sys/endings.hpp"
#include "sys/hex.hpp"

namespace outlive {

using namespace detail;

namespace detail {

void problem_list::at_most(std::uint64_t value, std::uint64_t limit, const std::string& object,
                           const char* what) {
  if (value > limit)
    add(object, std::string(what) + ": " + std::to_string(value),
        "at most " + std::to_string(limit));
}

void problem_list::zero(const void* begin, std::size_t size, const std::string& object,
                        const char* what) {
  const auto* const bytes = static_cast<const unsigned char*>(begin);
  const auto* const set = std::find_if(bytes, bytes + size, [](const unsigned char& each) {
    return __atomic_load_n(&each, __ATOMIC_RELAXED) != 0;
  });
  if (set != bytes + size)
    add(object, std::string(what) + ": " + hex(*set) + " in byte " + std::to_string(set - bytes),
        "zero");
}

bool is_terminated(const char* text, std::size_t room) noexcept {
  return std::memchr(text, 0, room) != nullptr;
}

namespace {

std::vector<segment_problem> look(const mapping& map) {
  problem_list found;
  for (const auto part : {check_header, check_names, check_participants, check_records,
                          check_deaths, check_directory, check_locks})
    part(found, map);
  return std::move(found.all());
}

}  // namespace

}  // namespace detail

std::string to_string(const segment_problem& problem) {
  return problem.object + ": found " + problem.found + ", expected " + problem.expected;
}

// One that somebody's next store ends is gone, or another, at the next look.
std::vector<segment_problem> segment_view::problems() const {
  std::vector<segment_problem> found = look(checked());
  for (int again = 0; again < 2 && !found.empty(); ++again) {
    sleep_ms(5);
    const std::vector<segment_problem> now = look(checked());
    std::erase_if(found, [&](const segment_problem& each) {
      return std::find(now.begin(), now.end(), each) == now.end();
    });
  }
  return found;
}

}  // namespace outlive
