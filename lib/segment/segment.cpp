#include <outlive/segment.hpp>

#include <functional>
#include <string>
#include <system_error>

#include "directory/directory.hpp"
#include "error/failure.hpp"
#include "format/hash.hpp"
#include "mapping/mapping.hpp"
#include "mapping/segment_name.hpp"
#include "records/participants.hpp"
#include "records/thread_records.hpp"
#include "segment/asked_options.hpp"
#include "segment/header.hpp"
#include "segment/named_file.hpp"
#include "segment/open_segments.hpp"
#include "segment/segment_file.hpp"
#include "sys/fork_epoch.hpp"

namespace outlive {

using namespace detail;

namespace {

// The system's "no space" becomes errc::no_space, with the size.
[[noreturn]] void rethrow_creation(const std::system_error& error, const std::string& what,
                                   std::uint64_t size) {
  if (error.code() == std::errc::no_space_on_device) {
    fail(errc::no_space,
         what + ": found no room for it in " + segment_folder + ", expected " +
             std::to_string(size) +
             " bytes (segment_options::size; in a container, the size of /dev/shm)");
  }
  rethrow_named(error, what);
}

void fill(const file_descriptor& file, const segment_constants& constants) {
  const mapped_pages pages(file.get(), constants.total_size, file_access::read_write);
  fill_new_segment(pages.base(), constants);
}

enum class asks { access, options };  // for mode and expected_owners, or for all options

std::shared_ptr<mapping> map_existing(const std::string& what, file_descriptor file,
                                      const segment_options& options, asks asked) {
  try {
    const auto info = shared_memory::inspect(file.get());
    check_access(what, info, options);
    const segment_constants constants = read_constants(what, file.get(), info);
    if (asked == asks::options) check_asked_options(what, constants, info, options);
    return open_segments::open(std::move(file), constants);
  } catch (const std::system_error& error) {
    rethrow_refusal(error, what);
  }
}

// A complete segment in a file that has no name yet. An error before it has one leaves nothing.
std::shared_ptr<mapping> make_nameless(std::string_view name, const segment_options& options,
                                       segment_constants& constants) {
  try {
    check_folder(quoted_segment(name));
    file_descriptor file =
        shared_memory::create_unnamed(segment_folder, constants.total_size, options.mode);
    tie_to_file(constants, shared_memory::inspect(file.get()));
    fill(file, constants);
    return open_segments::open(std::move(file), constants);
  } catch (const std::system_error& error) {
    rethrow_creation(error, quoted_segment(name), constants.total_size);
  }
}

// Names the segment by `how`, which returns false if the name is taken.
bool give_name(const mapping& made, std::string_view name,
               bool (*how)(int fd, std::string_view name)) {
  try {
    return how(made.fd(), name);
  } catch (const std::system_error& error) {
    rethrow_creation(error, quoted_segment(name), made.size());
  }
}

// Empty if the name is taken. Waits while another process makes a file of that name: a second file
// would need room of its own, which there may not be.
std::shared_ptr<mapping> try_create(std::string_view name, const segment_options& options) {
  segment_constants constants = make_constants(name, options);
  named_file::remove_left_over(name);
  const auto is_acquired = [name] { return named_file::inspect(name).has_value(); };
  const named_file::name_lock lock(name, is_acquired);
  if (is_acquired()) return {};  // perhaps by the former holder of the lock
  auto made = make_nameless(name, options, constants);
  const auto link = [](int fd, std::string_view as) {
    return shared_memory::link(fd, segment_path(as));
  };
  return give_name(*made, name, link) ? made : nullptr;
}

using filling_of_mapping = std::function<void(const std::shared_ptr<mapping>&)>;

// Empty if the name does not lead to `only`.
std::shared_ptr<mapping> try_replace(std::string_view name, const segment_options& options,
                                     const filling_of_mapping& fill_it, const mapping* only) {
  segment_constants constants = make_constants(name, options);
  const named_file::name_lock lock(name, [] { return false; });
  if (!lock.is_held()) {
    fail(errc::in_use, quoted_segment(name) +
                           ": found another process making it for 30 seconds, expected that to end "
                           "(is it stopped?)");
  }
  if (only != nullptr && !named_file::leads_to(only->constants(), only->device())) return {};
  if (auto there = named_file::inspect(name)) {
    there->mode = 0;  // its permissions do not matter any more
    check_access(quoted_segment(name), *there, options);
  }
  auto made = make_nameless(name, options, constants);
  const std::uint64_t mine = process_epoch();
  fill_it(made);
  // A filling that forks returns twice. The lock belongs to the parent, which may still need it.
  if (process_epoch() != mine) {
    fail(errc::in_use,
         quoted_segment(name) +
             ": found the child of a fork in its filling, expected the process that had called it");
  }
  const auto put = [](int fd, std::string_view as) {
    named_file::put_in_place(fd, as);
    return true;
  };
  give_name(*made, name, put);
  return made;
}

std::shared_ptr<mapping> try_open(std::string_view name, const segment_options& options,
                                  asks asked) {
  named_file::remove_left_over(name);
  file_descriptor file = open_segment_file(name, file_access::read_write);
  if (!file) return {};
  return map_existing(quoted_segment(name), std::move(file), options, asked);
}

}  // namespace

std::uint64_t detail::hash_of_type(std::string_view name, std::size_t size, std::size_t alignment,
                                   const value_facts& value) noexcept {
  const std::uint64_t outer = mix(hash_text(name), size << 8 | alignment);
  // never 0, which means "not computed yet"
  return mix(outer, mix(value.size << 8 | value.alignment, value.version)) | 1;
}

segment segment::create(std::string_view name, const segment_options& options) {
  check_segment_name(name);
  if (auto made = try_create(name, options)) return segment(std::move(made));
  fail(errc::already_exists,
       quoted_segment(name) + ": found " + segment_path(name) +
           ", expected no segment of that name (use open_or_create(), or unlink it)");
}

segment segment::open(std::string_view name, const segment_options& options) {
  check_segment_name(name);
  if (auto found = try_open(name, options, asks::access)) return segment(std::move(found));
  fail(errc::not_found,
       quoted_segment(name) + ": found no " + segment_path(name) +
           ", expected a segment (start the program that makes it, or use open_or_create())");
}

segment segment::open_or_create(std::string_view name, const segment_options& options) {
  check_segment_name(name);
  // A round fails only if another process made or removed the name in between.
  for (int round = 0; round < 1000; ++round) {
    if (auto found = try_open(name, options, asks::options)) return segment(std::move(found));
    if (auto made = try_create(name, options)) return segment(std::move(made));
  }
  fail(errc::not_found,
       quoted_segment(name) + ": found it come and go a thousand times, expected it to stay");
}

segment segment::replace(std::string_view name, const segment_options& options,
                         const filling& fill) {
  check_segment_name(name);
  return segment(try_replace(name, options, filled_by(fill), nullptr));
}

segment segment::replace(const segment& old, const segment_options& options, const filling& fill) {
  const std::string name = old.name();
  check_segment_name(name);
  if (auto made = try_replace(name, options, filled_by(fill), old.mapping_.get()))
    return segment(std::move(made));
  return open_or_create(name, options);
}

std::function<void(const std::shared_ptr<mapping>&)> segment::filled_by(const filling& fill) {
  return [&fill](const std::shared_ptr<mapping>& made) {
    segment whole(made);
    if (fill) fill(whole);
  };
}

segment segment::anonymous(const segment_options& options) {
  segment_constants constants = make_constants({}, options);
  try {
    file_descriptor file = shared_memory::create_memfd("outlive", constants.total_size);
    tie_to_file(constants, shared_memory::inspect(file.get()));
    fill(file, constants);
    return segment(open_segments::open(std::move(file), constants));
  } catch (const std::system_error& error) {
    rethrow_creation(error, "anonymous segment", constants.total_size);
  }
}

segment segment::from_fd(int fd, const segment_options& options) {
  const std::string what = "file descriptor " + std::to_string(fd);
  // A memfd has mode 0777, which means nothing: only its owner has a path to it.
  segment_options allowed = options;
  file_descriptor file = shared_memory::duplicate(fd);
  if (shared_memory::is_memfd(file.get())) allowed.mode = 0777;
  return segment(map_existing(what, std::move(file), allowed, asks::access));
}

bool segment::unlink(std::string_view name) {
  check_segment_name(name);
  named_file::remove_left_over(name);
  return shared_memory::unlink(segment_path(name));
}

void segment::for_each(const std::function<void(const object_info&)>& visit) const {
  directory::for_each(*mapping_, [&](const directory::listed_object& found) {
    visit({found.name, found.type, found.size, found.address});
  });
}

void segment::attach() {
  participants::own_index(*mapping_);
}

std::string segment::name() const {
  return mapping_->constants().name;
}

bool segment::has_name() const {
  return named_file::leads_to(mapping_->constants(), mapping_->device());
}

segment_options segment::options() const {
  return options_of(mapping_->constants());
}

int segment::fd() const noexcept {
  return mapping_->fd();
}

const void* segment::base() const noexcept {
  return mapping_->base();
}

std::size_t segment::size_bytes() const noexcept {
  return mapping_->size();
}

std::uint32_t segment::threads_in_use() const noexcept {
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < mapping_->record_count(); ++i)
    if (!thread_records::is_free(*mapping_, i)) ++count;
  return count;
}

void* segment::find_object(std::string_view name, const object_type& type) const {
  return directory::find(*mapping_, name, type);
}

void* segment::find_or_construct_object(std::string_view name, const object_type& type,
                                        object_action construct, void* context) {
  return directory::find_or_construct(*mapping_, name, type, construct, context);
}

bool segment::destroy_object(std::string_view name, const object_type& type, object_action end) {
  return directory::destroy(*mapping_, name, type, end);
}

}  // namespace outlive
