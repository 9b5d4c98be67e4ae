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

void check_name(const mapping& where, std::string_view name) {
  if (!name.empty() && name.size() <= max_name_bytes && name.find('\0') == std::string_view::npos)
    return;
  fail(errc::invalid_name, where.describe() + ", object " + quoted(name) + ": found a name of " +
                               std::to_string(name.size()) + " bytes, expected 1 to " +
                               std::to_string(max_name_bytes) + " without a zero byte");
}

// `name` is the one that led to the block, which may have another by now: look-ups take no mutex.
void check_type(const mapping& where, const block_header& block, std::string_view name,
                const object_type& type) {
  if (block.type == type.hash) return;
  // The same name: programs that were compiled from different sources.
  const bool same_name =
      names::text_of(where, block.type_name) == type.name.substr(0, max_type_bytes);
  fail(errc::type_mismatch,
       where.describe() + ", object \"" + std::string(name) + "\": found type " +
           names::describe_type(where, block.type_name, block.size) + ", expected " +
           names::describe_type(type) +
           (same_name ? " (of another release: end its programs, or take another segment)" : ""));
}

void* object_at(const mapping& where, std::uint32_t line, std::string_view name,
                const object_type& type) {
  const block_header& block = blocks::at(where, line);
  check_type(where, block, name, type);
  return blocks::object_of(block);
}

void set_state(block_header& block, block_state state) noexcept {
  block.state.store(static_cast<std::uint32_t>(state), std::memory_order_release);
}

// Requires: the directory mutex, a block that no user can reach. Takes no memory and throws
// nothing: the object's destructor has run, or its constructor's exception is on its way. If the
// slot cannot be found for damage, the next holder counts anew, and says so.
void free_block(mapping& where, std::uint32_t line) noexcept {
  block_header& block = blocks::at(where, line);
  set_state(block, block_state::freed);
  // freed before its slot goes: recount() removes slots of freed blocks, not the other way round
  crash_barrier();
  try {
    index::remove(where, index::key(blocks::name_in(block)), line);
  } catch (const std::exception&) {
    where.header().directory_counts.stale.store(1, std::memory_order_relaxed);
    return;  // to a list only once no slot leads to it; the recount lists it
  }
  blocks::list_freed(where, line);
}

// After the death of a holder: all that is derived is counted again. Restartable, since it starts
//   from the blocks alone.
void recount(mapping& where) {
  directory_state& counts = where.header().directory_counts;
  for (std::uint32_t& list : counts.freed) list = 0;
  std::uint32_t live = 0;
  blocks::for_each(where, [&](std::uint32_t line, block_header& block) {
    const block_state state = blocks::state_of(block);
    if (state == block_state::live) {
      ++live;
      index::ensure(where, index::key(blocks::name_in(block)), line);
      return;
    }
    if (state != block_state::freed) set_state(block, block_state::freed);
    blocks::list_freed(where, line);
  });
  index::remove_stale(where);
  counts.live.store(live, std::memory_order_relaxed);
}

class directory_guard {
 public:
  explicit directory_guard(mapping& where) : hold_(where, where.header().directory, "directory") {
    shared_u32& stale = where.header().directory_counts.stale;
    if (!hold_.owner_died() && stale.load(std::memory_order_relaxed) == 0) return;
    count_again(where);
    hold_.mended();
  }

  static void count_again(mapping& where) {
    shared_u32& stale = where.header().directory_counts.stale;
    stale.store(1, std::memory_order_relaxed);
    // the mark before the first change: neither a death nor an error in the count loses that it is
    // due
    crash_barrier();
    recount(where);
    crash_barrier();
    stale.store(0, std::memory_order_relaxed);
  }

 private:
  internal_guard hold_;
};

// Takes a block, and puts it into the slot that a look-up of the name has ended at. Nothing: the
// directory must be counted again.
std::optional<std::uint32_t> make_block(mapping& where, const index::key& key, std::uint64_t slot,
                                        const object_type& type) {
  directory_state& counts = where.header().directory_counts;
  if (counts.live.load(std::memory_order_relaxed) >= where.constants().directory_capacity) {
    fail(errc::directory_full,
         where.describe() + ", object \"" + std::string(key.name) + "\": found all " +
             std::to_string(where.constants().directory_capacity) +
             " objects in use, expected a free one (segment_options::directory_capacity)");
  }
  // Here and not before: names never go, so that a call that is refused must not use one up.
  const std::uint32_t type_name = names::intern_type(where, type);
  const auto line = blocks::take(where, key.name, type, type_name);
  if (line) index::put(where, slot, key, *line);
  return line;
}

// Where the calling thread runs a constructor: what it makes there asks for its mapping.
constinit thread_local mapping* constructing = nullptr;

class construction_scope {
 public:
  explicit construction_scope(mapping& where) noexcept
      : before_(std::exchange(constructing, &where)) {}
  construction_scope(const construction_scope&) = delete;
  construction_scope& operator=(const construction_scope&) = delete;
  ~construction_scope() { constructing = before_; }

 private:
  mapping* before_;
};

// A constructor or destructor that forks returns twice. The mutex and the object are the parent's,
// which goes on with both: the child must store nothing. It is told in_use, since that is how
// things stand for it: the name is in another's hands until the parent is through, and to call
// again waits for that. (not_owner and forked_in_repair speak of mutexes.)
void check_not_forked(const mapping& where, std::string_view name, std::uint64_t epoch,
                      const char* in) {
  if (process_epoch() == epoch) return;
  fail(errc::in_use, where.describe() + ", object \"" + std::string(name) +
                         "\": found the child of a fork in its " + in +
                         ", expected the process that had called it");
}

// A lock that somebody holds must not be destroyed. An object that begins with something else
// cannot be judged.
bool begins_with_held_lock(const mapping& where, const void* object) noexcept {
  const auto view = where.lock_at(where.offset_of(object));
  if (view.lock == nullptr) return false;
  if (view.native && (native_mutex::word(view.lock->native) & native_mutex::tid_mask) != 0)
    return true;
  if (view.shared && count_readers(where, mark_id(where.offset_of(object))) != 0) return true;
  return bool{lock_state(view.lock->state.load(std::memory_order_acquire)).holder()};
}

}  // namespace

void* find(const mapping& where, std::string_view name, const object_type& type) {
  const index::key key(name);
  if (const auto line = index::find_quickly(where, key, type))
    return blocks::object_of(blocks::at(where, *line));
  const auto line = index::find(where, key, type);
  return line ? object_at(where, *line, name, type) : nullptr;
}

void* find_or_construct(mapping& where, std::string_view name, const object_type& type,
                        action construct, void* context) {
  const index::key key(name);
  if (const auto line = index::find_quickly(where, key, type))
    return blocks::object_of(blocks::at(where, *line));
  check_name(where, name);
  // An object that is there must not wait for another's constructor, wherever its slot is.
  if (const auto line = index::find(where, key, type)) return object_at(where, *line, name, type);
  const directory_guard hold(where);
  const index::search found = index::find_or_place(where, key, type);
  if (found.line) return object_at(where, *found.line, name, type);
  auto made = make_block(where, key, found.free_slot, type);
  if (!made) {
    hold.count_again(where);
    made = make_block(where, key, index::find_or_place(where, key, type).free_slot, type);
  }
  if (!made)
    fail(errc::damaged, where.describe() +
                            ": found its freed blocks on damaged lists, right after they were "
                            "listed, expected sound ones");
  const std::uint32_t line = *made;
  block_header& block = blocks::at(where, line);
  void* const object = blocks::object_of(block);
  const std::uint64_t mine = process_epoch();
  try {
    const construction_scope scope(where);
    construct(object, context);
  } catch (...) {
    if (process_epoch() == mine) free_block(where, line);
    throw;
  }
  check_not_forked(where, name, mine, "constructor");
  directory_state& counts = where.header().directory_counts;
  counts.live.store(counts.live.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  crash_barrier();  // a whole object before the state that shows it to look-ups
  set_state(block, block_state::live);
  return object;
}

bool destroy(mapping& where, std::string_view name, const object_type& type, action end) {
  const directory_guard hold(where);
  const auto line = index::find(where, index::key(name), type);
  if (!line) return false;
  block_header& block = blocks::at(where, *line);
  check_type(where, block, name, type);
  void* const object = blocks::object_of(block);
  if (begins_with_held_lock(where, object)) {
    fail(errc::in_use, where.describe() + ", object \"" + std::string(name) +
                           "\": found its mutex held, expected it free");
  }
  set_state(block, block_state::destroying);
  crash_barrier();  // out of look-ups' sight before its bytes change
  const std::uint64_t mine = process_epoch();
  end(object, nullptr);
  check_not_forked(where, name, mine, "destructor");
  directory_state& counts = where.header().directory_counts;
  counts.live.store(counts.live.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  free_block(where, *line);
  return true;
}

mapping* constructing_at(const void* address) noexcept {
  return constructing != nullptr && constructing->contains(address) ? constructing : nullptr;
}

void for_each(const mapping& where, const std::function<void(const listed_object&)>& visit) {
  blocks::for_each_live(
      where, [&](std::uint32_t, const block_header& block, const blocks::name_copy& name) {
        visit({name.text(), names::text_of(where, name.type_name), block.size,
               blocks::object_of(block)});
      });
}

namespace {

// Line of the live block whose object contains the offset, and its name.
std::optional<std::uint32_t> block_around(const mapping& where, std::uint64_t offset,
                                          blocks::name_copy& name) {
  const std::uint64_t objects = where.layout().objects;
  if (offset < objects + cache_line) return {};
  // Most mutexes are the first thing in their object, whose block header then is the line before.
  const auto before = static_cast<std::uint32_t>((offset - objects) / cache_line - 1);
  if (blocks::is_sound(where, before) && blocks::load_live_name(where, before, name) &&
      index::leads_to(where, index::key(name.text()), before)) {
    return before;
  }
  std::optional<std::uint32_t> found;
  blocks::for_each_live(
      where, [&](std::uint32_t line, const block_header& block, const blocks::name_copy& its) {
        const std::uint64_t begin = where.offset_of(blocks::object_of(block));
        if (offset < begin || offset >= begin + block.size) return;
        found = line;
        name = its;
      });
  return found;
}

}  // namespace

std::string_view name_of(const mapping& where, std::uint64_t offset) noexcept {
  try {
    blocks::name_copy name;
    const auto line = block_around(where, offset, name);
    return line ? blocks::name_in(blocks::at(where, *line)) : std::string_view();
  } catch (const std::exception&) {
    return {};
  }
}

std::optional<std::uint32_t> object_around(const mapping& where, std::uint64_t offset,
                                           blocks::name_copy& into) noexcept {
  try {
    return block_around(where, offset, into);
  } catch (const std::exception&) {
    return {};
  }
}

std::string_view copy_name_of(const mapping& where, std::uint64_t offset,
                              blocks::name_copy& into) noexcept {
  return object_around(where, offset, into) ? into.text() : std::string_view();
}

}  // namespace outlive::detail::directory
