// handing: what a thread shares with the jobs and permits that it has handed over and that no other
// thread has taken yet. The rules, beside J1 to J5 and I1 to I3:
//
// H1  The word still names the thread that hands over. Neither that thread nor the object on its
//     way writes anything of the slot: the history entry of this try was emptied before.
// H2  take() is one exchange of the word, from that name to the caller's. The same name at the same
//     try stands for this object alone: the thread gave away its own hold, and a later life has
//     another generation. So the exchange succeeds exactly if nobody has taken over from a dead
//     giver, and of all of them one succeeds.
// H3  The object's end is one exchange, too, and needs no record.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "records/handed_count.hpp"
#include "records/thread_slot.hpp"
#include "sys/fork_epoch.hpp"

namespace outlive::detail {

struct handing : handed_count {
  handing(std::shared_ptr<mapping> of, thread_record& record, std::uint64_t generation) noexcept
      : hint(record, generation), map(std::move(of)) {}

  handed_hint hint;
  // Objects on their way keep the mapping.
  std::shared_ptr<mapping> map;
  std::uint64_t epoch = process_epoch();

  [[nodiscard]] bool is_this_process() const noexcept { return epoch == process_epoch(); }
};

// Returns: what the thread shares; makes it at its first use. The caller has something to hand
//   over. Throws std::bad_alloc.
std::shared_ptr<handing> handing_of(attachment& giver);

// The thread's hold is on its way from now on.
inline void begin_handing(attachment& giver, handing& by) noexcept {
  by.hint.add();
  --giver.named_by;
  ++giver.handed;
}
// Something that was on its way is the giver's no longer. Release: pairs with attachment::idle(),
// so that a record which becomes free is named by no word.
inline void end_handing(handing& by) noexcept {
  by.hint.remove();  // first: afterwards another life of the record may begin
  by.ended.fetch_add(1, std::memory_order_release);
}

// Returns: the calling thread's attachment, for a take().
// Errors: errc::not_owner in a forked child, those of attach_caller().
attachment& attach_taker(const void* object, const char* what, const handing& by);

}  // namespace outlive::detail
