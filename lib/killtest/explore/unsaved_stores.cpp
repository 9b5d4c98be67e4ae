#include "killtest/explore/unsaved_stores.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <outlive/killtest/report.hpp>

#include "killtest/stacks/process_stacks.hpp"
#include "killtest/stores/page_shadow.hpp"
#include "killtest/survivor/survivors.hpp"

namespace outlive::killtest::detail {

namespace {

// What the transactions that are under way have saved.
class saved_bytes {
 public:
  void take(const transaction_note& note) {
    switch (note.what) {
      case note_kind::begins: ++depth_; break;
      case note_kind::saved: ranges_.push_back({note.begin, note.end}); break;
      case note_kind::ends:
        if (depth_ != 0) --depth_;
        if (depth_ == 0) ranges_.clear();
        break;
    }
  }

  [[nodiscard]] bool is_under_way() const noexcept { return depth_ != 0; }

  // The first byte of [at, end) that is not saved; `end` if all are.
  [[nodiscard]] std::uint64_t first_unsaved(std::uint64_t at, std::uint64_t end) const {
    while (at < end) {
      const auto found = std::find_if(ranges_.begin(), ranges_.end(), [&](const byte_range& each) {
        return each.begin <= at && at < each.end;
      });
      if (found == ranges_.end()) return at;
      at = found->end;
    }
    return end;
  }

 private:
  unsigned depth_ = 0;
  std::vector<byte_range> ranges_;
};

}  // namespace

std::vector<std::string> unsaved_stores(const segment& seg, const timeline& states,
                                        const recording& log) {
  std::vector<std::string> found;
  if (log.notes.empty()) return found;
  process_stacks names;
  saved_bytes saved;
  auto note = log.notes.begin();
  for (std::size_t i = log.setup; i < log.stores.size(); ++i) {
    for (; note != log.notes.end() && note->stores <= i; ++note) saved.take(*note);
    const logged_store& store = log.stores[i];
    if (!saved.is_under_way() || !states.is_in_an_object(log, store)) continue;
    const std::uint64_t end = store.offset + store.size;
    const std::uint64_t at = saved.first_unsaved(store.offset, end);
    if (at < end) {
      found.push_back(place_of(seg, at * 8) + ", at " +
                      to_string(names.describe(log.stacks[store.stack])));
    }
  }
  return found;
}

}  // namespace outlive::killtest::detail
