// Each judgement that is made while the gate is closed stays right until the gate is opened,
// whatever happens to the record in question: a thread that claims the record later, or marks
// itself in it, finds the gate closed (docs/protocol.md, "Readers and writers";
// docs/model/shared.pml).
#include "shared/drain.hpp"

#include <chrono>

#include <outlive/detail/wait_loop.hpp>
#include <outlive/error.hpp>

#include "records/marks.hpp"
#include "records/thread_records.hpp"
#include "shared/growing_sleep.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/futex.hpp"
#include "sys/membarrier.hpp"
#include "sys/spin_pause.hpp"

namespace outlive::detail {

namespace {

constexpr int drain_spins = 200;
// A writer sleeps to the end if the reader dies, or if the wake-up is lost because the store that
// removed the mark was not visible yet when the writer looked. So the sleeps are short at first.
constexpr std::chrono::milliseconds first_drain_sleep(1);

std::uint32_t id_of(const mapping& map, const shared_lock_bytes& lock) noexcept {
  return mark_id(map.offset_of(&lock));
}

// The writer stores the gate and then looks at the marks. A reader stores its mark and then looks
// at the gate. So one of the two sees the other. Returns: whether each reader is sure to see it.
bool set_gate(const mapping& map, shared_lock_bytes& lock, std::uint32_t to) noexcept {
  lock.gate.exchange(to, std::memory_order_seq_cst);
  return !map.has_plain_marks() || membarrier::barrier();
}

bool spin_until_gone(const mapping& map, std::uint32_t index, std::uint32_t id) noexcept {
  for (int i = 0; i < drain_spins; ++i) {
    if (!is_reader(map, index, id)) return true;
    spin_pause();
  }
  return false;
}

const outcome drained{.acquired = true};

// Waits for one reader.
outcome wait_for(const mapping& map, shared_lock_bytes& lock, std::uint32_t index,
                 const deadline& how_long) noexcept {
  const std::uint32_t id = id_of(map, lock);
  const auto is_gone = [&] { return !is_reader(map, index, id); };
  if (!how_long.waits()) return is_gone() ? drained : outcome{};
  if (spin_until_gone(map, index, id)) return drained;
  bool is_gate_visible = true;
  growing_sleep sleep(first_drain_sleep);
  const bool done = wait_in_slices(
      how_long, {},
      [&] {
        is_gate_visible = set_gate(map, lock, gate_awaited);
        return !is_gate_visible || is_gone();
      },
      [&](std::chrono::nanoseconds left) { sleep.on(lock.gate, gate_awaited, left); },
      [&] {
        // asks the kernel, for a reader whose death is not marked (U6, U7)
        const thread_record& record = map.record(index);
        return is_gone() || thread_records::is_dead(record, thread_records::life(record));
      });
  if (!is_gate_visible) return refused(errc::no_membarrier);
  return done ? drained : outcome{};
}

}  // namespace

outcome drain(const mapping& map, shared_lock_bytes& lock, const deadline& how_long) noexcept {
  if (!set_gate(map, lock, gate_closed)) return refused(errc::no_membarrier);
  const std::uint32_t id = id_of(map, lock);
  // read after the gate: a thread that claims a further record finds it closed
  const std::uint32_t end = records_in_use(map);
  for (std::uint32_t index = next_marked(map, 0, end, id); index < end;
       index = next_marked(map, index + 1, end, id)) {
    if (!is_reader(map, index, id)) continue;
    outcome result = wait_for(map, lock, index, how_long);
    if (!result.acquired) return result;
  }
  return drained;
}

bool drain_quickly(const mapping& map, shared_lock_bytes& lock) noexcept {
  if (!set_gate(map, lock, gate_closed)) return false;
  // read after the gate: a thread that claims a further record finds it closed
  const std::uint32_t end = records_in_use(map);
  return next_marked(map, 0, end, id_of(map, lock)) == end;
}

bool has_readers(const mapping& map, const shared_lock_bytes& lock) noexcept {
  return count_readers(map, id_of(map, lock)) != 0;
}

void open_gate(shared_lock_bytes& lock) noexcept {
  lock.gate.store(gate_open, std::memory_order_release);
  crash_barrier();  // open before another thread can have the native mutex, and close it again
}

void wake_drainer(shared_lock_bytes& lock) noexcept {
  // An exchange, not a store: the writer may have gone on by now, and a store would close the gate
  // of a free mutex.
  std::uint32_t expected = gate_awaited;
  if (lock.gate.compare_exchange_strong(expected, gate_closed, std::memory_order_seq_cst))
    futex_wake(lock.gate, 1);
}

}  // namespace outlive::detail
