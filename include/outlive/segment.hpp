// segment: one shared mapping with named objects, which unrelated processes find by the segment's
// name.
//
// A named segment is the file /dev/shm/outlive.NAME. It appears complete or not at all, and stays
// until unlink(), even if its creator dies. An anonymous segment lives as long as a process has it
// mapped.
//
// Invalid, and refused with an error: a segment of another format version, ABI, owner, PID
// namespace or boot; a copy; a damaged one.
// Invalid, and not detected: sharing it with a process that you do not trust, since that process
// can change every byte.
//
// A process has one mapping of a segment, however often it opens it. The mapping does not move. It
// stays while a thread of this process has a record in it, even after the last segment object is
// gone (hazards A3 to A7).
#pragma once

#include <outlive/detail/requirements.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <outlive/detail/export.hpp>
#include <outlive/shared_type.hpp>

namespace outlive {

// How readers of shared mutexes announce themselves to writers. All processes of a segment must do
// the same, so it is chosen when the segment is made.
enum class reader_marks : std::uint8_t {
  automatic,  // membarrier if the process that makes the segment may call it, otherwise locked
  // By plain stores, which a writer makes visible by the system call membarrier. Reading is cheap,
  // writing costs a system call.
  membarrier,
  locked,  // by locked exchanges: for processes whose seccomp filter does not allow membarrier
};

struct segment_options {
  // For a segment that is created; open() takes them from the segment.
  std::size_t size = std::size_t{1} << 20;  // bytes for objects and names; reserved at creation
  std::uint32_t directory_capacity = 1024;  // objects
  std::uint32_t threads = 256;              // threads attached at one time; at most 65,000
  std::uint32_t participants = 256;         // processes attached at one time
  std::uint32_t max_held = 64;  // mutexes that a thread can hold at one time; at most 1,900
  // Repairs of one death that may start before it is not recoverable; at most 63.
  std::uint32_t attempts = 3;
  std::uint32_t lock_classes = 256;  // names of lock classes and of object types
  reader_marks readers = reader_marks::automatic;
  unsigned mode = 0600;  // permissions of the file

  // For open() too: users who may own the file, besides the effective user, who always may. A
  // supervisor that runs as root names its worker's user here. If either of two users may make the
  // segment, they name each other.
  std::vector<std::uint32_t> expected_owners{};
};

namespace detail {
class mapping;
struct segment_access;

// T(args...), or T{args...} for an aggregate, because clang 14 cannot initialise one with
// parentheses.
template <class T, class... Args>
[[nodiscard]] T make(Args&&... args) {
  if constexpr (std::is_constructible_v<T, Args...>) {
    return T(std::forward<Args>(args)...);
  } else {
    return T{std::forward<Args>(args)...};
  }
}

}  // namespace detail

class segment {
 public:
  // Makes a segment.
  // Requires: `name` has 1 to 200 bytes and no slash.
  // Blocks: while another process makes a segment of that name, until it is done or dead, but at
  //   most 30 seconds.
  // Errors: invalid_name, already_exists, no_space (/dev/shm cannot hold it: hazard A47),
  //   wrong_file_system (/dev/shm is no tmpfs), no_proc, std::errc::invalid_argument for an option
  //   out of its range, no_membarrier if options.readers asks for it, the system's errors. Neither
  //   an error nor a death at any time leaves anything behind.
  [[nodiscard]] OUTLIVE_API static segment create(std::string_view name,
                                                  const segment_options& options = {});

  // Opens a segment. Of the options it uses only mode and expected_owners.
  // Errors: invalid_name, not_found, damaged, version_mismatch, abi_mismatch, wrong_owner,
  //   writable_by_others (by more than options.mode says), wrong_pid_namespace, no_proc,
  //   wrong_file_system, too_many_participants, the system's errors.
  [[nodiscard]] OUTLIVE_API static segment open(std::string_view name,
                                                const segment_options& options = {});

  // Opens the segment, or makes it if there is none. An existing segment must have what the options
  // ask for. An option with its default value asks for nothing. size, directory_capacity, threads,
  // participants, max_held and lock_classes ask for at least this much, and mode for at least these
  // permissions. attempts and readers must be equal.
  // Errors: options_differ, with each option that is not met and both values; those of create() and
  //   open(), without not_found and already_exists.
  [[nodiscard]] OUTLIVE_API static segment open_or_create(std::string_view name,
                                                          const segment_options& options = {});

  using filling = std::function<void(segment& made)>;

  // Makes a segment, calls fill(made), and then puts it in the place of any file with the name,
  // even of a segment that open() refuses. At each instant the name leads to the old segment or to
  // the new one. Processes that have the old one open continue with it, and has_name() returns
  // false for them. Without an old one: as create(). If `fill` throws, so does replace(), and the
  // name leads where it led. `fill` must not make or replace a segment of this name.
  // Blocks: as create(). After fork: works in the child. If `fill` forks, and the child returns
  //   from it or throws, the child gets an error (in_use for a return). Only the parent puts the
  //   segment in place.
  // On death, in `fill` too: the name leads to the old one or to the new one. A death can leave a
  //   second name, /dev/shm/.outlive-next.NAME. The next open() or creation of a segment of that
  //   name, or unlink(), removes it.
  // Errors: those of create(), without already_exists; wrong_owner and damaged (not a regular file)
  //   for the existing file; in_use if another process has been making a segment of that name for
  //   30 seconds. Then the name leads where it led.
  [[nodiscard]] OUTLIVE_API static segment replace(std::string_view name,
                                                   const segment_options& options = {},
                                                   const filling& fill = nullptr);
  // The same if the name of `old` still leads to it, otherwise open_or_create(name, options). So if
  // several processes want to discard `old`, one replaces it, and the others get the new one.
  // Errors: those of both; invalid_name if `old` is anonymous.
  [[nodiscard]] OUTLIVE_API static segment replace(const segment& old,
                                                   const segment_options& options = {},
                                                   const filling& fill = nullptr);

  // Makes a segment without a name, for processes that inherit it over fork or get its fd().
  [[nodiscard]] OUTLIVE_API static segment anonymous(const segment_options& options = {});

  // Opens the segment of a file descriptor, which stays the caller's. Errors: as open().
  [[nodiscard]] OUTLIVE_API static segment from_fd(int fd, const segment_options& options = {});

  // Removes the name. Processes that have the segment mapped continue with it.
  // Returns: false if there was none. Errors: invalid_name, the system's.
  OUTLIVE_API static bool unlink(std::string_view name);

  segment(segment&&) noexcept = default;
  segment& operator=(segment&&) noexcept = default;
  segment(const segment&) noexcept = default;  // another handle of the same mapping
  segment& operator=(const segment&) noexcept = default;
  ~segment() = default;

  // Returns: the object of that name, or nullptr. Acquires no lock, makes no system call.
  // Errors: type_mismatch (another name, size, alignment or version of T or of what it wraps:
  //   <outlive/shared_type.hpp>), damaged.
  template <class T>
  [[nodiscard]] T* find(std::string_view name) const {
    return static_cast<T*>(find_object(name, detail::object_type_of<T>()));
  }

  // Returns: the object of that name, constructed as T(args...) if there was none. Exactly one
  //   process constructs it; a constructor that throws or dies leaves no object.
  // Requires: the name has 1 to 255 bytes; shareable<T>; alignof(T) <= 64; the constructor uses
  //   neither find_or_construct nor destroy of this segment.
  // Blocks: only if there is no object yet: while another thread constructs or destroys an object
  //   of this segment.
  // After fork: works in the child. If T's constructor forks, and the child returns from it or
  //   throws, the child gets an error (in_use for a return). Only the parent constructs the object.
  // On death: if the constructing thread dies at any instruction, the next call counts the
  //   directory again and constructs the object. The memory is reused for the same type. No
  //   destructor runs for a partly constructed object.
  // Errors: type_mismatch, directory_full, no_space, invalid_name, damaged, no_robust_list,
  //   too_many_participants and wrong_pid_namespace (in a child of a fork), deadlock (in a
  //   constructor or destructor), in_use (above), what T's constructor throws.
  template <class T, class... Args>
  T& find_or_construct(std::string_view name, Args&&... args) {
    static_assert(alignof(T) <= 64, "objects of a segment are aligned to 64 bytes");
    static_assert(shareable<T>,
                  "T owns or points to memory of one process: no pointers, strings, vectors, "
                  "virtual functions (<outlive/shared_type.hpp>)");
    auto construct = [&](void* memory) {
      ::new (memory) T(detail::make<T>(std::forward<Args>(args)...));
    };
    return *static_cast<T*>(find_or_construct_object(name, detail::object_type_of<T>(),
                                                     &invoke<decltype(construct)>, &construct));
  }

  // Destroys the object of that name. Its destructor runs, then the name is free. The memory is
  // reused only for the same type (hazard A13).
  // Returns: false if there was none.
  // Requires: no process uses the object; the destructor uses neither find_or_construct nor destroy
  //   of this segment.
  // Blocks: while another thread constructs or destroys an object of this segment.
  // After fork: as find_or_construct, for the destructor.
  // On death: in the destructor, or after it: the object is gone. Before it: the object is still
  //   there.
  // Errors: type_mismatch, damaged, no_robust_list, too_many_participants and wrong_pid_namespace
  //   (in a child of a fork), deadlock (in a constructor or destructor); in_use if T is a robust
  //   mutex, or begins with one, that is held, or in a child that the destructor forked.
  template <class T>
  bool destroy(std::string_view name) {
    auto end = [](void* object, void*) { static_cast<T*>(object)->~T(); };
    return destroy_object(name, detail::object_type_of<T>(), end);
  }

  struct object_info {
    std::string_view name;
    std::string_view type;  // as typeid names it, cut at 143 bytes
    std::size_t size;
    const void* address;
  };
  // Calls visit for each object. It may miss objects that are constructed or destroyed meanwhile.
  // Errors: damaged.
  OUTLIVE_API void for_each(const std::function<void(const object_info&)>& visit) const;

  // Attaches this process, as its first lock or object would. It is for a forked child, which a
  // supervisor does not know before that, although it can be killed before it has locked anything.
  // A process that creates or opens a segment is attached then.
  // Errors: errc::too_many_participants. After fork: attaches the child. Blocks: never.
  OUTLIVE_API void attach();

  // Returns: the name given at creation; empty for an anonymous segment.
  [[nodiscard]] OUTLIVE_API std::string name() const;
  // Returns: whether the segment's name still leads to it. False: the name was removed, or leads to
  //   another segment now, so processes that open the name do not get this one. Always false for an
  //   anonymous segment.
  // After fork: works in the child. Blocks: never; one system call. Errors: the system's.
  [[nodiscard]] OUTLIVE_API bool has_name() const;
  // Returns: the options with which it was made; size is rounded up to pages, expected_owners is
  //   the default.
  [[nodiscard]] OUTLIVE_API segment_options options() const;
  // Returns: a file descriptor of the segment, above 2, which stays the segment's and is closed on
  //   exec. -1 if somebody else has closed it (close_range, by a program that becomes a daemon):
  //   then the segment works without it, and leaves a file of yours that gets the number alone.
  [[nodiscard]] OUTLIVE_API int fd() const noexcept;
  // Returns: the address of the mapping, and its size.
  [[nodiscard]] OUTLIVE_API const void* base() const noexcept;
  [[nodiscard]] OUTLIVE_API std::size_t size_bytes() const noexcept;
  // Returns: the number of thread records that are not free: those of living threads, and of dead
  //   threads that a mutex still names.
  [[nodiscard]] OUTLIVE_API std::uint32_t threads_in_use() const noexcept;

 private:
  friend struct detail::segment_access;
  explicit segment(std::shared_ptr<detail::mapping> mapping) noexcept
      : mapping_(std::move(mapping)) {}

  template <class Construct>
  static void invoke(void* memory, void* construct) {
    (*static_cast<Construct*>(construct))(memory);
  }
  static std::function<void(const std::shared_ptr<detail::mapping>&)> filled_by(
      const filling& fill);
  using object_action = void (*)(void* object, void* context);
  OUTLIVE_API void* find_object(std::string_view name, const detail::object_type& type) const;
  OUTLIVE_API void* find_or_construct_object(std::string_view name, const detail::object_type& type,
                                             object_action construct, void* context);
  OUTLIVE_API bool destroy_object(std::string_view name, const detail::object_type& type,
                                  object_action end);

  std::shared_ptr<detail::mapping> mapping_;
};

}  // namespace outlive
