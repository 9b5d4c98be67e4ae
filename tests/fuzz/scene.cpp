#include "fuzz/scene.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <system_error>

#include "format/job_state.hpp"
#include "fuzz/objects.hpp"
#include "segment/segment_access.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::fuzz {

namespace {

using namespace std::chrono_literals;
using act = std::function<void()>;

[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

// Runs `body` in a child, and waits for the child's end. One that does not end by itself is killed
// where it is.
pid_t in_child(const act& body, bool killed) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    try {
      body();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "fuzz: a scene's process: %s\n", error.what());
      ::_exit(1);
    }
    if (killed) die();
    ::_exit(0);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child)
    throw std::system_error(errno, std::generic_category(), "a scene's process");
  if (killed ? !WIFSIGNALED(status) : status != 0)
    throw std::runtime_error("a process of a scene did not end as it should");
  return child;
}
pid_t victim(const act& body) {
  return in_child(body, true);
}
void helper(const act& body) {
  in_child(body, false);
}

account& account_of(segment& in, const char* name) {
  return in.find_or_construct<account>(name, "account");
}

repair_registration repairs(segment& in, repair_result result = repaired) {
  return on_owner_death<pair>(in, "account", [result](pair& value, const owner_death&) {
    value.b = 1000 - value.a;
    return result;
  });
}

void make_objects(segment& in) {
  for (const char* name : account_names) account_of(in, name);
  in.find_or_construct<robust_mutex>("shelf", "shelf");
  in.find_or_construct<prices>("prices", "prices");
  in.find_or_construct<robust_shared_mutex>("table", "table");
  in.find_or_construct<robust_condition_variable>("ready");
  in.find_or_construct<jobs>("jobs", work_queue_options{job_tries});
  in.find_or_construct<permits>("permits", 4U);
  in.find_or_construct<int>("answer", 42);
  in.find_or_construct<bytes>("seventeen bytes..", bytes{});
  in.find_or_construct<long>(long_name(), 255L);
  for (const char* name : {"removed 1", "removed 2"}) in.find_or_construct<int>(name, 1);
  in.find_or_construct<bytes>("removed array", bytes{});
  in.destroy<int>("removed 1");
  in.destroy<int>("removed 2");
  in.destroy<bytes>("removed array");
  in.find_or_construct<jobs>("limited", with_limit);
}

// A death that the log tells of, and that was repaired.
void log_death(segment& in, const char* name) {
  victim([&] {
    note(in, 7);
    static_cast<void>(new account::guard(account_of(in, name).lock()));
  });
  helper([&] {
    const auto mend = repairs(in);
    static_cast<void>(account_of(in, name).lock());
  });
}

void fill_queue(segment& in) {
  auto& queue = in.find_or_construct<jobs>("jobs", work_queue_options{job_tries});
  for (std::uint64_t i = 1; i <= 6; ++i) queue.push({i, "a job"});
  // the first job, twice: a dead letter
  for (int i = 0; i < 2; ++i) victim([&] { static_cast<void>(new lease<job>(queue.pop())); });
  helper([&] { queue.pop().done(); });
  victim([&] { static_cast<void>(new lease<job>(queue.pop())); });
  static_cast<void>(new lease<job>(queue.pop()));  // a living worker's
  victim([&] { static_cast<void>(new dead_letter<job>(queue.pop_dead_letter())); });
}

// Of a living worker: one lease that goes on, and one that is over. Of a dead one: the same.
void fill_limited_queue(segment& in) {
  auto& queue = in.find_or_construct<jobs>("limited", with_limit);
  for (std::uint64_t i = 1; i <= 6; ++i) queue.push({i, "a job"});
  const auto lease_two = [&] {
    static_cast<void>(new lease<job>(queue.pop()));
    (new lease<job>(queue.pop()))->extend(0ns);
  };
  lease_two();
  victim(lease_two);
}

void make_deaths(segment& in) {
  make_objects(in);
  for (int i = 0; i < 3; ++i) log_death(in, "free");
  victim([&] { static_cast<void>(new account::guard(account_of(in, "unrepaired").lock())); });
  helper([&] {
    std::error_code error;
    static_cast<void>(account_of(in, "unrepaired").lock(error));
  });
  victim([&] { static_cast<void>(new account::guard(account_of(in, "broken").lock())); });
  helper([&] {
    const auto mend = repairs(in, failed);
    std::error_code error;
    for (int i = 0; i < 3; ++i) static_cast<void>(account_of(in, "broken").lock(error));
  });
  victim([&] { static_cast<void>(new account::guard(account_of(in, "repairing").lock())); });
  victim([&] {
    const auto mend = on_owner_death<pair>(
        in, "account", [](pair&, const owner_death&) -> repair_result { die(); });
    static_cast<void>(account_of(in, "repairing").lock());
  });
  fill_queue(in);
  fill_limited_queue(in);
  auto& pool = in.find_or_construct<permits>("permits", 4U);
  victim([&] { static_cast<void>(new permit(pool.acquire())); });
  static_cast<void>(new permit(pool.acquire()));
  auto& ready = *in.find<robust_condition_variable>("ready");
  helper([&] {
    auto hold = account_of(in, "free").lock();
    static_cast<void>(ready.wait_for(hold, 1ms, [] { return false; }));
  });
  auto& table = *in.find<robust_shared_mutex>("table");
  victim([&] { table.lock_shared(); });
  table.lock_shared();
  static_cast<void>(new account::guard(account_of(in, "held").lock()));
  // One that dies with several at once, and with one that the kernel will seem to have forgotten.
  const pid_t dead = victim([&] {
    in.find<robust_mutex>("shelf")->lock();
    static_cast<void>(new account::guard(account_of(in, "account").lock()));
    static_cast<void>(new prices::guard(in.find<prices>("prices")->lock()));
    static_cast<void>(new account::guard(account_of(in, "orphan").lock()));
  });
  // the native mutex's word comes first
  std::memcpy(static_cast<void*>(&account_of(in, "orphan")), &dead, sizeof dead);
  // Last: whoever makes an object now counts the directory anew.
  struct deadly {
    explicit deadly(int) { die(); }
    long value = 0;
  };
  victim([&] { in.find_or_construct<deadly>("never made", 1); });
}

// All records are pinned by dead owners of locks that nobody repaired.
void make_crowded(segment& in) {
  const segment_options options = in.options();
  for (std::uint32_t i = 0; i < options.threads + 2; ++i) {
    victim([&] {
      static_cast<void>(
          new account::guard(account_of(in, account_names[i % account_names.size()]).lock()));
    });
  }
  const std::string prefix = "object ";
  try {
    for (int i = 0;; ++i) in.find_or_construct<int>(prefix + std::to_string(i), i);
  } catch (const std::system_error& error) {
    if (error.code() != errc::directory_full && error.code() != errc::no_space) throw;
  }
}

segment_options options_of(std::string_view scene) {
  segment_options options;
  options.size = 24 << 10;
  options.directory_capacity = 64;
  options.threads = 12;
  options.participants = 8;
  options.max_held = 4;
  options.attempts = 2;
  options.lock_classes = 24;
  if (scene == "crowded") {
    options.size = 12 << 10;
    options.directory_capacity = 20;
    options.threads = 4;
    options.participants = 4;
    options.readers = reader_marks::locked;
  }
  return options;
}

// Makes the segment, and writes its bytes into the file.
void make(const std::string& name, int into) {
  const std::string unique = "fuzz-" + std::to_string(::getpid());
  segment made = segment::create(unique, options_of(name));
  segment::unlink(unique);
  if (name == "fresh") make_objects(made);
  if (name == "deaths") make_deaths(made);
  // so that the maker has no record in it
  if (name == "crowded") helper([&] { make_crowded(made); });
  if (::write(into, made.base(), made.size_bytes()) != static_cast<ssize_t>(made.size_bytes()))
    throw std::system_error(errno, std::generic_category(), "writing a scene");
  static_cast<void>(new segment(made));  // the mapping stays
}

}  // namespace

scene::scene(std::string_view name) : name_(name) {
  const int file = ::memfd_create("scene", MFD_CLOEXEC);
  int said[2];
  if (file < 0 || ::pipe(said) != 0)
    throw std::system_error(errno, std::generic_category(), "making a scene");
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close(said[0]);
    try {
      make(name_, file);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "fuzz: scene %s: %s\n", name_.c_str(), error.what());
      ::_exit(1);
    }
    if (::write(said[1], "1", 1) == 1) {
      for (;;) ::pause();
    }
    ::_exit(1);
  }
  ::close(said[1]);
  pollfd ready{said[0], POLLIN, 0};
  char byte = 0;
  const bool made = pid_ > 0 && ::poll(&ready, 1, 60'000) == 1 && ::read(said[0], &byte, 1) == 1;
  ::close(said[0]);
  const off_t size = ::lseek(file, 0, SEEK_END);
  bytes_.resize(made && size > 0 ? static_cast<std::size_t>(size) : 0);
  const bool read = made && ::pread(file, bytes_.data(), bytes_.size(), 0) == size;
  ::close(file);
  if (!read) {
    end();
    throw std::runtime_error("scene " + name_ + " could not be made");
  }
  layout_ = detail::region_layout::of(constants());
}

scene::~scene() {
  end();
}

void scene::end() noexcept {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

const detail::segment_constants& scene::constants() const noexcept {
  return *reinterpret_cast<const detail::segment_constants*>(bytes_.data());
}

}  // namespace outlive::fuzz
