#include "killtest/trace/transaction_notes.hpp"

#include <algorithm>
#include <cstdint>

#include <outlive/killtest/transaction_watch.hpp>

namespace outlive::killtest {

namespace detail {

namespace {

struct watched_segment {
  store_log* log = nullptr;
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};
watched_segment watched;  // of the one traced thread of a forked process

}  // namespace

void note_transactions(store_log& log, const char* base, std::size_t size) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(base);
  watched = {&log, begin, begin + size};
}

}  // namespace detail

void transaction_begins() noexcept {
  if (detail::watched.log != nullptr) detail::watched.log->add_note({detail::note_kind::begins});
}

void transaction_saved(const void* bytes, std::size_t size) noexcept {
  const auto& in = detail::watched;
  if (in.log == nullptr) return;
  const auto at = reinterpret_cast<std::uintptr_t>(bytes);
  const std::uintptr_t begin = std::max(at, in.begin);
  const std::uintptr_t end = std::min(at + size, in.end);
  if (begin < end) in.log->add_note({detail::note_kind::saved, begin - in.begin, end - in.begin});
}

void transaction_ends() noexcept {
  if (detail::watched.log != nullptr) detail::watched.log->add_note({detail::note_kind::ends});
}

}  // namespace outlive::killtest
