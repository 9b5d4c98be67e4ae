#include "segment/open_segments.hpp"

#include <mutex>
#include <string>
#include <utility>

#include "error/failure.hpp"
#include "mapping/segment_name.hpp"
#include "records/participants.hpp"
#include "records/thread_records.hpp"
#include "records/thread_slot.hpp"
#include "sys/mapped_files.hpp"
#include "sys/modules.hpp"

namespace outlive::detail {

namespace {

// Another copy of the library has its own table and its own thread slots. It would let this thread
// in beside itself, because the kernel sees the same owner. But its mappings are visible.
// Requires: the table's mutex is held, and `base` is mapped: of two copies that open at once, one
//   sees the other.
void refuse_second_copy(const mapping_table& table, const segment_constants& constants,
                        const shared_memory::file_info& file, const void* base) {
  for (const address_range& range : writable_mappings_of(file.device, file.inode)) {
    const void* const begin = reinterpret_cast<const void*>(range.begin);
    const auto offset = range.begin - reinterpret_cast<std::uint64_t>(base);
    if (offset < constants.total_size || table.knows(begin)) continue;
    const std::string others = other_copies();
    fail(errc::second_copy, describe_segment(constants.name) +
                                ": found it open in this process by another copy of outlive" +
                                (others.empty() ? "" : ", in " + others) +
                                "; expected one copy alone, in " + this_copy() +
                                ": two would not exclude each other");
  }
}

}  // namespace

std::shared_ptr<mapping> open_segments::open(file_descriptor file,
                                             const segment_constants& constants) {
  this_thread::free_kept_attachments();
  const auto info = shared_memory::inspect(file.get());
  auto& table = mapping_table::instance();
  std::shared_ptr<mapping> map;
  {
    const std::lock_guard hold(table.mutex);
    map = table.find_file(info.device, info.inode);
    if (!map) {
      table.make_room();
      mapped_pages pages(file.get(), constants.total_size, file_access::read_write);
      refuse_second_copy(table, constants, info, pages.base());
      map = std::make_shared<mapping>(std::move(file), pages.base(), constants, info.device);
      pages.release();
      table.insert(map.get());
    }
    // Somebody else has closed the descriptor of the mapping. This one leads to the same file.
    // (A descriptor that was moved from is false.)
    // NOLINTNEXTLINE(bugprone-use-after-move)
    if (file && !map->file_.is_ours()) map->file_ = std::move(file);
  }
  auto handle = handle_of(std::move(map));
  participants::own_index(*handle);
  return handle;
}

std::shared_ptr<mapping> open_segments::handle_of(std::shared_ptr<mapping> owner) {
  mapping* const map = owner.get();
  // Before the handle: its deleter runs even if its control block cannot be allocated. No weak_ptr
  // leads to a handle, so the deleter ends with it, and lets go of the owner.
  map->handles_.fetch_add(1, std::memory_order_relaxed);
  return {map, [owner = std::move(owner)](mapping* closed) {
            // Acquire and release: the last handle's end comes after all uses of the others.
            if (closed->handles_.fetch_sub(1, std::memory_order_acq_rel) == 1)
              thread_records::release_if_idle(*closed);
            this_thread::free_kept_attachments();
          }};
}

}  // namespace outlive::detail
