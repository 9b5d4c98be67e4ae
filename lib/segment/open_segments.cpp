#include "segment/open_segments.hpp"

#include <mutex>
#include <string>
#include <utility>

#include "error/failure.hpp"
#include "records/participants.hpp"
#include "records/thread_records.hpp"
#include "records/thread_slot.hpp"
#include "sys/mapped_files.hpp"
#include "sys/modules.hpp"

namespace outlive::detail {

namespace {

// What is mapped, until a mapping has it: to make that can fail for want of memory.
class mapped_pages {
 public:
  mapped_pages(int fd, std::uint64_t size) : base_(shared_memory::map(fd, size)), size_(size) {}
  mapped_pages(const mapped_pages&) = delete;
  mapped_pages& operator=(const mapped_pages&) = delete;
  ~mapped_pages() {
    if (base_ != nullptr) shared_memory::unmap(base_, size_);
  }
  [[nodiscard]] void* base() const noexcept { return base_; }
  void release() noexcept { base_ = nullptr; }

 private:
  void* base_;
  std::uint64_t size_;
};

// Another copy of the library has its own table and its own thread slots: it would let this thread
// in beside its own, which the kernel takes for the same owner. What it has mapped is seen by all.
// Requires: the table's mutex is held, `base` is mapped: of two copies that come at once, one sees
//   the other.
void refuse_second_copy(const mapping_table& table, const segment_constants& constants,
                        const shared_memory::file_info& file, const void* base) {
  for (const address_range& range : writable_mappings_of(file.device, file.inode)) {
    const void* const begin = reinterpret_cast<const void*>(range.begin);
    const auto offset = range.begin - reinterpret_cast<std::uint64_t>(base);
    if (offset < constants.total_size || table.knows(begin)) continue;
    const std::string others = other_copies();
    const std::string name = constants.name[0] == 0
                                 ? "anonymous segment"
                                 : "segment \"" + std::string(constants.name) + '"';
    fail(errc::second_copy, name + ": found it open in this process by another copy of outlive" +
                                (others.empty() ? "" : ", in " + others) +
                                "; expected one copy alone, in " + this_copy() +
                                ": two would not exclude each other");
  }
}

}  // namespace

std::shared_ptr<mapping> open_segments::make_handle(const std::shared_ptr<mapping>& which) {
  if (auto existing = which->handle_.lock()) return existing;
  // `handle_` keeps the deleter after its run, and with it what the deleter keeps: that must be let
  // go of by hand.
  std::shared_ptr<mapping> handle(which.get(), [keep = which](mapping*) mutable {
    thread_records::give_back_if_idle(*keep);
    keep.reset();
    this_thread::free_kept_attachments();
  });
  which->handle_ = handle;
  return handle;
}

std::shared_ptr<mapping> open_segments::open(file_descriptor file,
                                             const segment_constants& constants) {
  this_thread::free_kept_attachments();
  const auto info = shared_memory::inspect(file.get());
  auto& table = mapping_table::instance();
  std::shared_ptr<mapping> made;
  std::shared_ptr<mapping> handle;
  {
    const std::lock_guard hold(table.mutex);
    made = table.find_file(info.device, info.inode);
    if (!made) {
      table.make_room();
      mapped_pages pages(file.get(), constants.total_size);
      refuse_second_copy(table, constants, info, pages.base());
      made = std::make_shared<mapping>(std::move(file), pages.base(), constants, info.device,
                                       info.inode);
      pages.release();
      table.insert(made.get());
    }
    // Somebody else has closed the descriptor that it had: this one leads to the same file.
    // (A descriptor that was moved from is false.)
    // NOLINTNEXTLINE(bugprone-use-after-move)
    if (file && !made->file_.is_ours()) made->file_ = std::move(file);
    handle = make_handle(made);
  }
  participants::own_index(*made);
  return handle;
}

std::shared_ptr<mapping> open_segments::handle_of(const std::shared_ptr<mapping>& which) {
  const std::lock_guard hold(mapping_table::instance().mutex);
  // `which` may itself be a handle; the strong owner is asked for, so that handles do not own each
  // other.
  return make_handle(which->shared_from_this());
}

}  // namespace outlive::detail
