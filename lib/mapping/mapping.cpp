#include "mapping/mapping.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "mapping/segment_name.hpp"
#include "sys/at_load.hpp"
#include "sys/event_set.hpp"
#include "sys/fork_epoch.hpp"
#include "sys/modules.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::detail {

namespace {

const made_at_load table_of_mappings([] { mapping_table::instance(); });

}  // namespace

mapping::mapping(file_descriptor file, void* base, const segment_constants& constants,
                 std::uint64_t device)
    : file_(std::move(file)),
      base_(static_cast<char*>(base)),
      constants_(constants),
      layout_(region_layout::of(constants)),
      device_(device) {}

mapping::~mapping() {
  auto& table = mapping_table::instance();
  // Unmapped under the mutex, so that nobody sees a mapping without an entry: refuse_second_copy().
  const std::lock_guard hold(table.mutex);
  table.erase(this);
  shared_memory::unmap(base_, size());
}

int mapping::fd() const noexcept {
  const std::lock_guard hold(mapping_table::instance().mutex);
  return file_.get_if_ours();
}

std::optional<shared_memory::file_info> mapping::file_now() const {
  if (const int own = fd(); own >= 0) return shared_memory::inspect(own);
  if (constants_.name[0] == 0) return std::nullopt;
  const file_descriptor named =
      shared_memory::open(segment_path(constants_.name), file_access::read_only);
  if (!named) return std::nullopt;
  const auto info = shared_memory::inspect(named.get());
  if (info.device != device_ || info.inode != constants_.inode) return std::nullopt;
  return info;
}

std::string mapping::describe() const {
  return describe_segment(constants_.name);
}

mapping::lock_view mapping::lock_at(std::uint64_t offset) const noexcept {
  if (offset % cache_line != 0 || offset < layout_.objects || offset > size() - cache_line)
    return {};
  auto* const lock = reinterpret_cast<lock_bytes*>(base_ + offset);
  // constant while the lock lives
  const std::uint32_t magic = lock->magic.load(std::memory_order_relaxed);
  if (magic == native_lock_magic) return {lock, native_mutex::is_intact(lock->native), false};
  if (magic == shared_lock_magic && offset <= size() - sizeof(shared_lock_bytes))
    return {lock, native_mutex::is_intact(lock->native), true};
  if (magic == fast_lock_magic) return {lock, false, false};
  return {};
}

std::optional<std::uint32_t> mapping::known_participant() const noexcept {
  if (participant_epoch_.load(std::memory_order_acquire) != process_epoch()) return std::nullopt;
  return participant_.load(std::memory_order_relaxed);
}

std::uint32_t mapping::participant_index(std::uint32_t (*join)(mapping&)) {
  const std::uint64_t epoch = process_epoch();
  if (participant_epoch_.load(std::memory_order_acquire) == epoch)
    return participant_.load(std::memory_order_relaxed);
  const std::lock_guard hold(mapping_table::instance().mutex);
  if (participant_epoch_.load(std::memory_order_relaxed) != epoch) {
    participant_.store(join(*this), std::memory_order_relaxed);
    // Release: a thread that sees the epoch sees this process's index.
    participant_epoch_.store(epoch, std::memory_order_release);
    // supervisors then read the table of participants
    announce_change(file_.get_if_ours());
  }
  return participant_.load(std::memory_order_relaxed);
}

mapping_table& mapping_table::instance() {
  static mapping_table& made = []() -> mapping_table& {
    auto table = std::make_unique<mapping_table>();
    // Their mutexes must be locked after this one, here and before a fork. Joining as a participant
    // locks that of the modules.
    prepare_process_epoch();
    prepare_modules();
    around_fork([] { instance().mutex.lock(); }, [] { instance().mutex.unlock(); });
    return *table.release();
  }();
  return made;
}

std::vector<mapping*>::const_iterator mapping_table::above(const void* address) const noexcept {
  return std::upper_bound(
      all_.begin(), all_.end(), address,
      [](const void* at, const mapping* each) { return std::less<>()(at, each->base()); });
}

std::shared_ptr<mapping> mapping_table::find(const void* address) noexcept {
  auto& table = instance();
  const std::lock_guard hold(table.mutex);
  const auto above = table.above(address);
  if (above == table.all_.begin()) return {};
  mapping* const before = above[-1];
  return before->contains(address) ? before->weak_from_this().lock() : std::shared_ptr<mapping>();
}

std::shared_ptr<mapping> mapping_table::find_file(std::uint64_t device,
                                                  std::uint64_t inode) const noexcept {
  for (mapping* each : all_) {
    if (each->device_ == device && each->constants_.inode == inode) {
      if (auto alive = each->weak_from_this().lock()) return alive;
    }
  }
  return {};
}

bool mapping_table::knows(const void* address) const noexcept {
  return std::any_of(all_.begin(), all_.end(),
                     [&](const mapping* each) { return each->contains(address); });
}

void mapping_table::insert(mapping* made) noexcept {
  all_.insert(above(made->base()), made);
}

}  // namespace outlive::detail
