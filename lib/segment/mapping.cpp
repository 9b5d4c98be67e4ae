#include "segment/mapping.hpp"

#include <algorithm>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "segment/failure.hpp"
#include "segment/participants.hpp"
#include "segment/segment_name.hpp"
#include "segment/thread_records.hpp"
#include "segment/thread_slot.hpp"
#include "sys/at_load.hpp"
#include "sys/event_set.hpp"
#include "sys/fork_epoch.hpp"
#include "sys/mapped_files.hpp"
#include "sys/modules.hpp"
#include "sys/native_mutex.hpp"

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

}  // namespace

// All mappings of the process. Never destroyed: threads lock during and after static destruction. Its mutex is held over a fork.
struct mapping_registry {
  std::mutex mutex;
  // By address. An entry goes in ~mapping, so a weak_from_this() of an entry may be on its way out.
  std::vector<mapping*> all;

  static mapping_registry& instance() {
    static mapping_registry& made = []() -> mapping_registry& {
      auto registry = std::make_unique<mapping_registry>();
      prepare_process_epoch();  // its memory is made under a mutex that must come after this one, here and before a fork
      prepare_modules();        // so must the mutex of the modules, which a participant joins with
      around_fork([] { instance().mutex.lock(); }, [] { instance().mutex.unlock(); });
      return *registry.release();
    }();
    return made;
  }

  // Where the first mapping stands that begins above the address. Requires: mutex is held.
  std::vector<mapping*>::const_iterator above(const void* address) const noexcept {
    return std::upper_bound(all.begin(), all.end(), address, [](const void* at, const mapping* each) { return std::less<>()(at, each->base()); });
  }

  // Requires: mutex is held.
  std::shared_ptr<mapping> find_file(std::uint64_t device, std::uint64_t inode) const noexcept {
    for (mapping* each : all) {
      if (each->device_ == device && each->inode_ == inode) {
        if (auto alive = each->weak_from_this().lock()) return alive;
      }
    }
    return {};
  }

  // Another copy of the library has its own table and its own thread slots: it would let this thread
  // in beside its own, which the kernel takes for the same owner. What it has mapped is seen by all.
  // Requires: mutex is held, `base` is mapped: of two copies that come at once, one sees the other.
  void refuse_second_copy(const segment_constants& constants, const shared_memory::file_info& file, const void* base) const {
    for (const address_range& range : writable_mappings_of(file.device, file.inode)) {
      const void* const begin = reinterpret_cast<const void*>(range.begin);
      const auto offset = range.begin - reinterpret_cast<std::uint64_t>(base);
      if (offset < constants.total_size || std::any_of(all.begin(), all.end(), [&](const mapping* each) { return each->contains(begin); })) continue;
      const std::string others = other_copies();
      const std::string name = constants.name[0] == 0 ? "anonymous segment" : "segment \"" + std::string(constants.name) + '"';
      fail(errc::second_copy, name + ": found it open in this process by another copy of outlive" + (others.empty() ? "" : ", in " + others) +
                                  "; expected one copy alone, in " + this_copy() + ": two would not exclude each other");
    }
  }

  // Requires: mutex is held.
  static std::shared_ptr<mapping> make_handle(const std::shared_ptr<mapping>& which) {
    if (auto existing = which->handle_.lock()) return existing;
    // `handle_` keeps the deleter after its run, and with it what the deleter keeps: that must be let go of by hand.
    std::shared_ptr<mapping> handle(which.get(), [keep = which](mapping*) mutable {
      thread_records::give_back_if_idle(*keep);
      keep.reset();
      this_thread::free_kept_attachments();
    });
    which->handle_ = handle;
    return handle;
  }
};

namespace {

const made_at_load registry_of_mappings([] { mapping_registry::instance(); });

}  // namespace

mapping::mapping(file_descriptor file, void* base, const segment_constants& constants, std::uint64_t device, std::uint64_t inode)
    : file_(std::move(file)),
      base_(static_cast<char*>(base)),
      constants_(constants),
      layout_(region_layout::of(constants)),
      device_(device),
      inode_(inode) {}

mapping::~mapping() {
  auto& registry = mapping_registry::instance();
  // Unmapped while nobody can look for mappings that no entry explains: refuse_second_copy().
  const std::lock_guard hold(registry.mutex);
  std::erase(registry.all, this);
  shared_memory::unmap(base_, size());
}

int mapping::fd() const noexcept {
  const std::lock_guard hold(mapping_registry::instance().mutex);
  return file_.get_if_ours();
}

std::optional<shared_memory::file_info> mapping::file_now() const {
  if (const int own = fd(); own >= 0) return shared_memory::inspect(own);
  if (constants_.name[0] == 0) return std::nullopt;
  const file_descriptor named = shared_memory::open_to_read(segment_path(constants_.name));
  if (!named) return std::nullopt;
  const auto info = shared_memory::inspect(named.get());
  if (info.device != device_ || info.inode != inode_) return std::nullopt;
  return info;
}

std::string mapping::describe() const {
  return constants_.name[0] == 0 ? "anonymous segment" : "segment \"" + std::string(constants_.name) + '"';
}

mapping::lock_view mapping::lock_at(std::uint64_t offset) const noexcept {
  if (offset % cache_line != 0 || offset < layout_.objects || offset > size() - cache_line) return {};
  auto* const lock = reinterpret_cast<lock_bytes*>(base_ + offset);
  const std::uint32_t magic = lock->magic.load(std::memory_order_relaxed);  // constant while the lock lives
  if (magic == native_lock_magic) return {lock, native_mutex::is_intact(lock->native), false};
  if (magic == shared_lock_magic && offset <= size() - sizeof(shared_lock_bytes)) return {lock, native_mutex::is_intact(lock->native), true};
  if (magic == fast_lock_magic) return {lock, false, false};
  return {};
}

std::uint32_t mapping::participant_index() {
  const std::uint64_t epoch = process_epoch();
  if (participant_epoch_.load(std::memory_order_acquire) == epoch) return participant_.load(std::memory_order_relaxed);
  const std::lock_guard hold(mapping_registry::instance().mutex);
  if (participant_epoch_.load(std::memory_order_relaxed) != epoch) {
    participant_.store(participants::join(*this), std::memory_order_relaxed);
    participant_epoch_.store(epoch, std::memory_order_release);  // to a thread that sees it: the index above is this process's
    announce_change(file_.get_if_ours());                        // to supervisors, who look into the table of participants then
  }
  return participant_.load(std::memory_order_relaxed);
}

std::shared_ptr<mapping> mapping_table::map(file_descriptor file, const segment_constants& constants) {
  this_thread::free_kept_attachments();
  const auto info = shared_memory::inspect(file.get());
  auto& registry = mapping_registry::instance();
  std::shared_ptr<mapping> made;
  std::shared_ptr<mapping> handle;
  {
    const std::lock_guard hold(registry.mutex);
    made = registry.find_file(info.device, info.inode);
    if (!made) {
      registry.all.reserve(registry.all.size() + 1);
      mapped_pages pages(file.get(), constants.total_size);
      registry.refuse_second_copy(constants, info, pages.base());
      made = std::make_shared<mapping>(std::move(file), pages.base(), constants, info.device, info.inode);
      pages.release();
      registry.all.insert(registry.above(made->base()), made.get());
    }
    // Somebody else has closed the descriptor that it had: this one leads to the same file.
    if (file && !made->file_.is_ours()) made->file_ = std::move(file);
    handle = registry.make_handle(made);
  }
  made->participant_index();
  return handle;
}

std::shared_ptr<mapping> mapping_table::find(const void* address) noexcept {
  auto& registry = mapping_registry::instance();
  const std::lock_guard hold(registry.mutex);
  const auto above = registry.above(address);
  if (above == registry.all.begin()) return {};
  mapping* const before = above[-1];
  return before->contains(address) ? before->weak_from_this().lock() : std::shared_ptr<mapping>();
}

std::shared_ptr<mapping> mapping_table::handle_of(const std::shared_ptr<mapping>& which) {
  const std::lock_guard hold(mapping_registry::instance().mutex);
  // `which` may itself be a handle; the strong owner is asked for, so that handles do not own each other.
  return mapping_registry::make_handle(which->shared_from_this());
}

}  // namespace outlive::detail
