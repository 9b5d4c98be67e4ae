#include "records/crash_note.hpp"

#include <algorithm>
#include <atomic>

#include "records/thread_slot.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/native_mutex.hpp"
#include "sys/process.hpp"

namespace outlive::detail {

namespace {

constinit std::atomic<void (*)() noexcept> record_hook{nullptr};

// More segments than a thread uses: a list that a wild store has made a circle of ends here.
constexpr int max_attachments = 4'096;

// Calls what(record, note) for each record of the calling thread. A record that was just released
// may be another thread's by now, and the list of a raw clone's child names the parent's. The
// liveness word of such a record has another thread's id.
template <class What>
bool for_own_notes(What what) noexcept {
  const auto me = static_cast<std::uint32_t>(current_tid());
  bool any = false;
  int left = max_attachments;
  for (const attachment* each = this_thread::attachments(); each != nullptr && left-- > 0;
       each = each->next) {
    if ((native_mutex::word(each->record->liveness) & native_mutex::tid_mask) != me) continue;
    what(*each->record, each->map->crash_at(each->index));
    any = true;
  }
  return any;
}

}  // namespace

bool begin_crash_notes(const crash_cause& cause) noexcept {
  return for_own_notes([&](const thread_record& record, crash_note& note) {
    note.life.store(0, std::memory_order_relaxed);
    // pairs with read_crash_note(): a reader does not take what follows for the former note
    std::atomic_thread_fence(std::memory_order_release);
    note.acquisitions.store(record.acquisitions.load(std::memory_order_relaxed),
                            std::memory_order_relaxed);
    note.address.store(cause.address, std::memory_order_relaxed);
    note.signal.store(static_cast<std::uint32_t>(cause.signal), std::memory_order_relaxed);
    note.code.store(static_cast<std::uint32_t>(cause.code), std::memory_order_relaxed);
    note.nested.store(0, std::memory_order_relaxed);
    note.frames[0].store(cause.instruction, std::memory_order_relaxed);
    note.count.store(1, std::memory_order_relaxed);
    crash_barrier();  // whole, before it counts
    note.life.store(record.generation.load(std::memory_order_relaxed), std::memory_order_release);
  });
}

void add_crash_frames(const std::uint64_t* frames, std::size_t count) noexcept {
  const std::size_t kept = std::min(count, crash_frames);
  for_own_notes([&](const thread_record&, crash_note& note) {
    for (std::size_t i = 1; i < kept; ++i)
      note.frames[i].store(frames[i], std::memory_order_relaxed);
    crash_barrier();  // the frames before the number that says they are there
    if (kept > 1) note.count.store(static_cast<std::uint32_t>(kept), std::memory_order_release);
  });
}

void mark_crash_nested() noexcept {
  for_own_notes([](const thread_record&, crash_note& note) {
    note.nested.store(1, std::memory_order_relaxed);
  });
}

void clear_crash_notes() noexcept {
  for_own_notes([](const thread_record&, crash_note& note) {
    note.life.store(0, std::memory_order_relaxed);
  });
}

void set_record_hook(void (*hook)() noexcept) noexcept {
  record_hook.store(hook, std::memory_order_release);
}

void call_record_hook() noexcept {
  if (auto* const hook = record_hook.load(std::memory_order_acquire)) hook();
}

std::optional<crash_copy> read_crash_note(const mapping& map, std::uint32_t index) noexcept {
  const thread_record& record = map.record(index);
  const crash_note& note = map.crash_at(index);
  const std::uint64_t life = note.life.load(std::memory_order_acquire);
  if (life == 0 || life != record.generation.load(std::memory_order_acquire)) return std::nullopt;
  crash_copy copy;
  copy.signal = static_cast<int>(note.signal.load(std::memory_order_relaxed));
  copy.code = static_cast<int>(note.code.load(std::memory_order_relaxed));
  copy.address = note.address.load(std::memory_order_relaxed);
  copy.nested = note.nested.load(std::memory_order_relaxed) != 0;
  copy.count = std::min<std::size_t>(note.count.load(std::memory_order_acquire), crash_frames);
  for (std::size_t i = 0; i < copy.count; ++i)
    copy.frames[i] = note.frames[i].load(std::memory_order_relaxed);
  const bool went_on = note.acquisitions.load(std::memory_order_relaxed) !=
                       record.acquisitions.load(std::memory_order_relaxed);
  // the copy is complete before the life is read again
  std::atomic_thread_fence(std::memory_order_acquire);
  if (went_on || copy.signal == 0 || note.life.load(std::memory_order_relaxed) != life)
    return std::nullopt;
  return copy;
}

}  // namespace outlive::detail
