#include "directory/directory.hpp"

#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "directory/blocks.hpp"
#include "directory/free_lists.hpp"
#include "directory/index.hpp"
#include "directory/internal_guard.hpp"
#include "directory/names.hpp"
#include "error/failure.hpp"
#include "format/lock_state.hpp"
#include "records/marks.hpp"
#include "sys/crash_barrier.hpp"
#include "sys/fork_epoch.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::detail::directory {

namespace {

void check_name(const mapping& map, std::string_view name) {
  if (!name.empty() && name.size() <= max_name_bytes && name.find('\0') == std::string_view::npos)
    return;
  fail(errc::invalid_name, map.describe() + ", object " + quoted(name) + ": found a name of " +
                               std::to_string(name.size()) + " bytes, expected 1 to " +
                               std::to_string(max_name_bytes) + " without a zero byte");
}

// `name` led to the block, which may have another one by now, because look-ups take no mutex.
void check_type(const mapping& map, const block_header& block, std::string_view name,
                const object_type& type) {
  if (block.type == type.hash) return;
  // The same name means programs that were compiled from different sources.
  const bool same_name =
      names::text_of(map, block.type_name) == type.name.substr(0, max_type_bytes);
  fail(errc::type_mismatch,
       map.describe() + ", object \"" + std::string(name) + "\": found type " +
           names::describe_type(map, block.type_name, block.size) + ", expected " +
           names::describe_type(type) +
           (same_name ? " (of another release: end its programs, or use another segment)" : ""));
}

void* object_at(const mapping& map, std::uint32_t line, std::string_view name,
                const object_type& type) {
  const block_header& block = blocks::at(map, line);
  check_type(map, block, name, type);
  return blocks::object_of(block);
}

void set_state(block_header& block, block_state state) noexcept {
  block.state.store(static_cast<std::uint32_t>(state), std::memory_order_release);
}

// Requires: the directory mutex, and a block that no user can reach. Allocates nothing and throws
//   nothing: the object's destructor has run, or its constructor's exception is in flight. If the
//   slot cannot be found because of damage, the next holder counts again, and reports it.
void free_block(mapping& map, std::uint32_t line) noexcept {
  block_header& block = blocks::at(map, line);
  set_state(block, block_state::freed);
  // freed before its slot is removed: recount() removes slots of freed blocks, not the reverse
  crash_barrier();
  try {
    index::remove(map, index::key(blocks::name_in(block)), line);
  } catch (const std::exception&) {
    map.header().directory_counts.stale.store(1, std::memory_order_relaxed);
    return;  // not listed while a slot may lead to it; the recount lists it
  }
  blocks::list_freed(map, line);
}

// Counts all derived data again, after the death of a holder. It starts from the blocks alone, so
// it can be repeated.
void recount(mapping& map) {
  directory_state& counts = map.header().directory_counts;
  for (std::uint32_t& list : counts.freed) __atomic_store_n(&list, 0U, __ATOMIC_RELAXED);
  std::uint32_t live = 0;
  blocks::for_each(map, [&](std::uint32_t line, block_header& block) {
    const block_state state = blocks::state_of(block);
    if (state == block_state::live) {
      ++live;
      index::ensure(map, index::key(blocks::name_in(block)), line);
      return;
    }
    if (state != block_state::freed) set_state(block, block_state::freed);
    blocks::list_freed(map, line);
  });
  index::remove_stale(map);
  counts.live.store(live, std::memory_order_relaxed);
}

class directory_guard {
 public:
  explicit directory_guard(mapping& map) : hold_(map, map.header().directory, "directory") {
    shared_u32& stale = map.header().directory_counts.stale;
    if (!hold_.owner_died() && stale.load(std::memory_order_relaxed) == 0) return;
    count_again(map);
    hold_.mark_consistent();
  }

  static void count_again(mapping& map) {
    shared_u32& stale = map.header().directory_counts.stale;
    stale.store(1, std::memory_order_relaxed);
    // the mark before the first change: neither a death nor an error loses that a count is due
    crash_barrier();
    recount(map);
    crash_barrier();
    stale.store(0, std::memory_order_relaxed);
  }

 private:
  internal_guard hold_;
};

// Allocates a block, and puts it into the slot where a look-up of the name has ended. Nothing: the
// directory must be counted again.
std::optional<std::uint32_t> make_block(mapping& map, const index::key& key, std::uint64_t slot,
                                        const object_type& type) {
  directory_state& counts = map.header().directory_counts;
  if (counts.live.load(std::memory_order_relaxed) >= map.constants().directory_capacity) {
    fail(errc::directory_full,
         map.describe() + ", object \"" + std::string(key.name) + "\": found all " +
             std::to_string(map.constants().directory_capacity) +
             " objects in use, expected a free one (segment_options::directory_capacity)");
  }
  // Not earlier: names are never removed, so a call that is refused must not use one up.
  const std::uint32_t type_name = names::intern_type(map, type);
  const auto line = blocks::allocate(map, key.name, type, type_name);
  if (line) index::put(map, slot, key, *line);
  return line;
}

// The mapping in which the calling thread runs a constructor: what it makes there needs its
// mapping.
constinit thread_local mapping* constructing = nullptr;

class construction_scope {
 public:
  explicit construction_scope(mapping& map) noexcept : before_(std::exchange(constructing, &map)) {}
  construction_scope(const construction_scope&) = delete;
  construction_scope& operator=(const construction_scope&) = delete;
  ~construction_scope() { constructing = before_; }

 private:
  mapping* before_;
};

// A constructor or destructor that forks returns twice. The mutex and the object belong to the
// parent, which continues with both: the child must store nothing. Its error is in_use, because the
// name is in use until the parent has finished, and another call waits for that. (not_owner and
// forked_in_repair are about mutexes.)
void check_not_forked(const mapping& map, std::string_view name, std::uint64_t epoch,
                      const char* in) {
  if (process_epoch() == epoch) return;
  fail(errc::in_use, map.describe() + ", object \"" + std::string(name) +
                         "\": found the child of a fork in its " + in +
                         ", expected the process that had called it");
}

// A held lock must not be destroyed. It is only found if the object begins with it.
bool begins_with_held_lock(const mapping& map, const void* object) noexcept {
  const auto view = map.lock_at(map.offset_of(object));
  if (view.lock == nullptr) return false;
  if (view.native && (native_mutex::word(view.lock->native) & native_mutex::tid_mask) != 0)
    return true;
  if (view.shared && count_readers(map, mark_id(map.offset_of(object))) != 0) return true;
  return bool{lock_state(view.lock->state.load(std::memory_order_acquire)).holder()};
}

}  // namespace

void* find(const mapping& map, std::string_view name, const object_type& type) {
  const index::key key(name);
  if (const auto line = index::find_quickly(map, key, type))
    return blocks::object_of(blocks::at(map, *line));
  const auto line = index::find(map, key, type);
  return line ? object_at(map, *line, name, type) : nullptr;
}

void* find_or_construct(mapping& map, std::string_view name, const object_type& type,
                        action construct, void* context) {
  const index::key key(name);
  if (const auto line = index::find_quickly(map, key, type))
    return blocks::object_of(blocks::at(map, *line));
  check_name(map, name);
  // A look-up of an existing object must not wait for another object's constructor.
  if (const auto line = index::find(map, key, type)) return object_at(map, *line, name, type);
  const directory_guard hold(map);
  const index::search found = index::find_or_place(map, key, type);
  if (found.line) return object_at(map, *found.line, name, type);
  auto made = make_block(map, key, found.free_slot, type);
  if (!made) {
    hold.count_again(map);
    made = make_block(map, key, index::find_or_place(map, key, type).free_slot, type);
  }
  if (!made)
    fail(errc::damaged, map.describe() +
                            ": found its freed blocks on damaged lists, right after they were "
                            "listed, expected sound ones");
  const std::uint32_t line = *made;
  block_header& block = blocks::at(map, line);
  void* const object = blocks::object_of(block);
  const std::uint64_t mine = process_epoch();
  try {
    const construction_scope scope(map);
    construct(object, context);
  } catch (...) {
    if (process_epoch() == mine) free_block(map, line);
    throw;
  }
  check_not_forked(map, name, mine, "constructor");
  directory_state& counts = map.header().directory_counts;
  counts.live.store(counts.live.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  crash_barrier();  // a complete object before the state that shows it to look-ups
  set_state(block, block_state::live);
  return object;
}

bool destroy(mapping& map, std::string_view name, const object_type& type, action end) {
  const directory_guard hold(map);
  const auto line = index::find(map, index::key(name), type);
  if (!line) return false;
  block_header& block = blocks::at(map, *line);
  check_type(map, block, name, type);
  void* const object = blocks::object_of(block);
  if (begins_with_held_lock(map, object)) {
    fail(errc::in_use, map.describe() + ", object \"" + std::string(name) +
                           "\": found its mutex held, expected it free: unlock it first");
  }
  set_state(block, block_state::destroying);
  crash_barrier();  // hidden from look-ups before its bytes change
  const std::uint64_t mine = process_epoch();
  end(object, nullptr);
  check_not_forked(map, name, mine, "destructor");
  directory_state& counts = map.header().directory_counts;
  counts.live.store(counts.live.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  free_block(map, *line);
  return true;
}

mapping* constructing_at(const void* address) noexcept {
  return constructing != nullptr && constructing->contains(address) ? constructing : nullptr;
}

void for_each(const mapping& map, const std::function<void(const listed_object&)>& visit) {
  blocks::for_each_live(map, [&](std::uint32_t, const block_header& block,
                                 const blocks::name_copy& name) {
    visit({name.text(), names::text_of(map, name.type_name), block.size, blocks::object_of(block)});
  });
}

namespace {

// Line of the live block whose object contains the offset, and its name.
std::optional<std::uint32_t> block_around(const mapping& map, std::uint64_t offset,
                                          blocks::name_copy& name) {
  const std::uint64_t objects = map.layout().objects;
  if (offset < objects + cache_line) return {};
  // Most mutexes are at the start of their object, so the block header is the line before.
  const auto before = static_cast<std::uint32_t>((offset - objects) / cache_line - 1);
  if (blocks::is_sound(map, before) && blocks::load_live_name(map, before, name) &&
      index::leads_to(map, index::key(name.text()), before)) {
    return before;
  }
  std::optional<std::uint32_t> found;
  blocks::for_each_live(
      map, [&](std::uint32_t line, const block_header& block, const blocks::name_copy& its) {
        const std::uint64_t begin = map.offset_of(blocks::object_of(block));
        if (offset < begin || offset >= begin + block.size) return;
        found = line;
        name = its;
      });
  return found;
}

}  // namespace

std::string_view name_of(const mapping& map, std::uint64_t offset) noexcept {
  try {
    blocks::name_copy name;
    const auto line = block_around(map, offset, name);
    return line ? blocks::name_in(blocks::at(map, *line)) : std::string_view();
  } catch (const std::exception&) {
    return {};
  }
}

std::optional<std::uint32_t> object_around(const mapping& map, std::uint64_t offset,
                                           blocks::name_copy& into) noexcept {
  try {
    return block_around(map, offset, into);
  } catch (const std::exception&) {
    return {};
  }
}

std::string_view copy_name_of(const mapping& map, std::uint64_t offset,
                              blocks::name_copy& into) noexcept {
  return object_around(map, offset, into) ? into.text() : std::string_view();
}

}  // namespace outlive::detail::directory

namespace outlive::detail {

std::shared_ptr<mapping> require_in_segment(const void* object, const char* what) {
  if (mapping* const map = directory::constructing_at(object)) return map->shared_from_this();
  if (auto map = mapping_table::find(object)) return map;
  fail(errc::not_in_segment,
       std::string(what) +
           ": found it in ordinary memory, expected it in a segment (segment::find_or_construct)");
}

}  // namespace outlive::detail
