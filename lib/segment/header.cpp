#include "segment/header.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <new>
#include <system_error>

#include "error/failure.hpp"
#include "format/hash.hpp"
#include "format/lock_state.hpp"
#include "mapping/segment_name.hpp"
#include "mapping/surroundings.hpp"
#include "segment/segment_file.hpp"
#include "sys/fork_epoch.hpp"
#include "sys/hex.hpp"
#include "sys/membarrier.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::detail {

namespace {

constexpr std::uint32_t max_threads = 65'000;  // index + 1 must fit into 16 bits
constexpr std::uint32_t max_participants = 65'000;
constexpr std::uint32_t max_capacity = 1U << 28;
constexpr std::uint32_t max_names = 0xffff;
constexpr std::uint64_t max_object_bytes = std::uint64_t{1} << 37;  // lines must fit into 32 bits
// the kernel marks 2,048 of a dying thread's mutexes (hazard A1)
constexpr std::uint32_t max_held_limit = 1'900;

constexpr std::uint32_t known_features = feature_plain_marks;

#if defined(__x86_64__)
constexpr std::uint64_t architecture = 0x3e;  // as ELF's e_machine
#elif defined(__aarch64__)
constexpr std::uint64_t architecture = 0xb7;
#else
#error "outlive knows x86-64 and aarch64: see lib/sys for what differs by architecture"
#endif

#ifdef __GLIBC__
constexpr std::uint64_t libc_family = 1;
#else
constexpr std::uint64_t libc_family = 2;
#endif

std::uint64_t checksum_of(const segment_constants& constants) noexcept {
  return hash_bytes(&constants, offsetof(segment_constants, checksum), segment_magic);
}

void require_range(const char* option, std::uint64_t value, std::uint64_t least,
                   std::uint64_t most) {
  if (value >= least && value <= most) return;
  throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                          std::string("segment_options::") + option + " is " +
                              std::to_string(value) + ", expected " + std::to_string(least) +
                              " to " + std::to_string(most));
}

struct limited_number {
  const char* option;
  std::uint64_t value, most;
};

// The numbers of options, or of a header, that are at least 1.
template <class Numbers>
std::array<limited_number, 6> limited_numbers(const Numbers& of) noexcept {
  return {{{"directory_capacity", of.directory_capacity, max_capacity},
           {"threads", of.threads, max_threads},
           {"participants", of.participants, max_participants},
           {"max_held", of.max_held, max_held_limit},
           {"attempts", of.attempts, max_attempts},
           {"lock_classes", of.lock_classes, max_names}}};
}

// Whether make_constants() can have made numbers from a file.
bool has_valid_numbers(const segment_constants& c) noexcept {
  for (const limited_number& each : limited_numbers(c))
    if (each.value < 1 || each.value > each.most) return false;
  return c.object_bytes >= 4096 && c.object_bytes <= max_object_bytes &&
         c.object_bytes % 4096 == 0 && region_layout::of(c).total == c.total_size &&
         std::memchr(c.name, 0, sizeof c.name) != nullptr;
}

[[noreturn]] void fail_version(const std::string& context, const segment_constants& found) {
  fail(errc::version_mismatch, context + ": found format version " + std::to_string(found.version) +
                                   ", expected " + std::to_string(format_version) +
                                   ": use the release that made it, or replace it");
}

bool has_plain_marks(std::string_view name, reader_marks wish) {
  if (wish == reader_marks::locked) return false;
  const bool allowed = membarrier::is_allowed();
  if (wish == reader_marks::membarrier && !allowed) {
    fail(errc::no_membarrier, describe_segment(name) +
                                  ": found that this process may not call membarrier (a seccomp "
                                  "filter?), expected that it may, or "
                                  "segment_options::readers to be automatic or locked");
  }
  return allowed;
}

}  // namespace

std::uint64_t abi_signature() noexcept {
  return architecture << 48 | sizeof(void*) << 40 | libc_family << 32 |
         sizeof(pthread_mutex_t) << 16 | cache_line;
}

std::string describe_abi(std::uint64_t signature) {
  const std::uint64_t machine = signature >> 48;
  const std::uint64_t libc = signature >> 32 & 0xff;
  std::string text = machine == 0x3e   ? "x86-64"
                     : machine == 0xb7 ? "aarch64"
                                       : "machine " + hex(machine);
  text += ", " + std::to_string((signature >> 40 & 0xff) * 8) + " bit, ";
  text += libc == 1 ? "glibc" : libc == 2 ? "musl" : "libc " + std::to_string(libc);
  text += ", mutex of " + std::to_string(signature >> 16 & 0xffff) + " bytes, cache line of " +
          std::to_string(signature & 0xffff);
  return text;
}

segment_constants make_constants(std::string_view name, const segment_options& options) {
  prepare_process_epoch();
  require_range("size", options.size, 1, max_object_bytes);
  for (const limited_number& each : limited_numbers(options))
    require_range(each.option, each.value, 1, each.most);
  require_range("mode", options.mode, 0, 0777);

  segment_constants made{};
  made.magic = segment_magic;
  made.version = format_version;
  made.features = has_plain_marks(name, options.readers) ? feature_plain_marks : 0;
  made.abi = abi_signature();
  made.object_bytes = region_layout::round_up(options.size, 4096);
  const surroundings own = own_surroundings(describe_segment(name));
  made.pid_namespace = own.pid_namespace;
  made.time_namespace = own.time_namespace;
  std::memcpy(made.boot_id, own.boot.data(), own.boot.size());
  made.directory_capacity = options.directory_capacity;
  made.threads = options.threads;
  made.participants = options.participants;
  made.max_held = options.max_held;
  made.attempts = options.attempts;
  made.lock_classes = options.lock_classes;
  made.mode = options.mode;
  name.copy(made.name, name.size());
  made.total_size = region_layout::of(made).total;
  return made;
}

void tie_to_file(segment_constants& made, const shared_memory::file_info& file) noexcept {
  made.inode = file.inode;
  made.checksum = checksum_of(made);
}

segment_options options_of(const segment_constants& constants) noexcept {
  segment_options options;
  options.size = constants.object_bytes;
  options.directory_capacity = constants.directory_capacity;
  options.threads = constants.threads;
  options.participants = constants.participants;
  options.max_held = constants.max_held;
  options.attempts = constants.attempts;
  options.lock_classes = constants.lock_classes;
  options.readers = (constants.features & feature_plain_marks) != 0 ? reader_marks::membarrier
                                                                    : reader_marks::locked;
  options.mode = constants.mode;
  return options;
}

segment_constants read_constants(const std::string& context, int fd,
                                 const shared_memory::file_info& file) {
  prepare_process_epoch();
  segment_constants found{};
  const std::size_t size = shared_memory::read_start(fd, &found, sizeof found);
  if (size < sizeof found) {
    fail(errc::damaged, context + ": found a file of " + std::to_string(file.size) +
                            " bytes, expected a header of " +
                            std::to_string(sizeof(segment_header)));
  }
  if (found.magic != segment_magic) {
    fail(errc::damaged, context + ": found magic " + hex(found.magic) + ", expected " +
                            hex(segment_magic) + ": no segment of outlive");
  }
  if (checksum_of(found) != found.checksum) {
    // A later version may have other constants, but its version is here.
    if (found.version != format_version && found.version < 1000) fail_version(context, found);
    fail(errc::damaged, context + ": found header checksum " + hex(found.checksum) + ", expected " +
                            hex(checksum_of(found)));
  }
  if (found.version != format_version) fail_version(context, found);
  if (found.abi != abi_signature()) {
    fail(errc::abi_mismatch, context + ": found ABI " + describe_abi(found.abi) + "; expected " +
                                 describe_abi(abi_signature()));
  }
  if ((found.features & ~known_features) != 0) {
    fail(errc::version_mismatch, context + ": found features " + hex(found.features) +
                                     ", expected at most " + hex(known_features) +
                                     ": use the release that made it, or replace it");
  }
  if (!has_valid_numbers(found))
    fail(errc::damaged, context +
                            ": found a header whose sizes contradict each other, expected those "
                            "that create() writes");
  check_extent(context, file, found.total_size);
  check_boot(context, found);
  if (found.inode != file.inode) {
    fail(errc::damaged, context + ": found a copy, made from the segment \"" +
                            std::string(found.name, ::strnlen(found.name, sizeof found.name)) +
                            "\" in inode " + std::to_string(found.inode) +
                            ", expected the segment itself: its threads do not use inode " +
                            std::to_string(file.inode));
  }
  check_namespaces(context, found);
  return found;
}

void fill_new_segment(void* base, const segment_constants& constants) {
  auto* const bytes = static_cast<char*>(base);
  const region_layout at = region_layout::of(constants);
  auto* const header = ::new (base) segment_header{};
  std::memcpy(&header->constants, &constants, sizeof constants);
  for (internal_lock* lock : {&header->adoption, &header->directory, &header->names})
    native_mutex::init(lock->native);
  header->records_in_use.store(guarded_count(0), std::memory_order_relaxed);
  header->name_count.store(guarded_count(0), std::memory_order_relaxed);
  // 0 lines, and its complement
  header->directory_counts.end.store(~std::uint64_t{0} << 32, std::memory_order_relaxed);
  for (std::uint64_t i = 0; i < at.record_count; ++i) {
    auto* const record =
        reinterpret_cast<thread_record*>(bytes + at.records + i * at.record_stride);
    native_mutex::init(record->liveness);
  }
}

}  // namespace outlive::detail
