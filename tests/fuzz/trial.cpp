#include "fuzz/trial.hpp"

#include <execinfo.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include "fuzz/expectations.hpp"
#include "fuzz/operations.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::fuzz {

namespace {

constexpr rlim_t cpu_seconds = 20;
constexpr rlim_t more_memory = rlim_t{512} << 20;  // than the parent has

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// Shared with the child.
struct board {
  std::atomic<std::size_t> step;
  char failure[512];
  void* frames[48];
  std::atomic<int> frame_count;
};
board* the_board = nullptr;

// The stack of a signal, and then its death by it. What backtrace() needs was loaded before.
void tell_stack(int signal) {
  the_board->frame_count =
      ::backtrace(the_board->frames, static_cast<int>(std::size(the_board->frames)));
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

void tell_stacks() {
  static char room[64 << 10];
  stack_t alternate{};
  alternate.ss_sp = room;
  alternate.ss_size = sizeof room;
  ::sigaltstack(&alternate, nullptr);
  struct sigaction action {};
  action.sa_handler = tell_stack;
  action.sa_flags = SA_ONSTACK;
  for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGXCPU, SIGQUIT, SIGTRAP})
    ::sigaction(signal, &action, nullptr);
}

rlim_t own_memory = 0;

rlim_t memory_in_use() {
  unsigned long pages = 0;
  if (FILE* const own = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(own, "%lu", &pages) != 1) pages = 0;
    std::fclose(own);
  }
  return pages * 4096;
}

void limit_itself() {
  rlimit core{0, 0};
  ::setrlimit(RLIMIT_CORE, &core);
  rlimit cpu{cpu_seconds, cpu_seconds + 5};
  ::setrlimit(RLIMIT_CPU, &cpu);
#ifndef __SANITIZE_ADDRESS__
  // Memory that grows without an end becomes a std::bad_alloc, which no header promises.
  const rlimit memory{own_memory + more_memory, own_memory + more_memory};
  ::setrlimit(RLIMIT_AS, &memory);
#endif
}

// What the library says on a failed assertion must not drown the progress.
void silence() {
  const int none = ::open("/dev/null", O_WRONLY);
  ::dup2(none, STDERR_FILENO);
}

// A word of an internal lock that names a living participant's thread is believed, as
// docs/limits.md says: one waits for that thread. It would be a wait without an end for each such
// case, and none of them tells anything.
void leave_out_living_holders(const world::place& place, std::vector<unsigned char>& bytes) {
  for (const char* name : {"adoption.word", "directory.word", "names.word"}) {
    const std::uint64_t at = place.fields.find(name).offset;
    std::uint32_t word = 0;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    if ((word & detail::native_mutex::tid_mask) != static_cast<std::uint32_t>(place.of.bystander()))
      continue;
    word &= ~detail::native_mutex::tid_mask;
    std::memcpy(bytes.data() + at, &word, sizeof word);
  }
}

std::string name_of_step(const fuzz_case& what, std::size_t step) {
  if (step == 0) return "open";
  return step <= what.acts.size() ? what.acts[step - 1] : "the end";
}

}  // namespace

struct trial::report : board {};

world::world() {
  for (const std::string_view each : scene_names)
    places_.emplace(each, std::make_unique<place>(each));
}

const world::place& world::at(const std::string& name) const {
  const auto found = places_.find(name);
  if (found == places_.end())
    throw std::invalid_argument("found the scene \"" + name +
                                "\", expected fresh, deaths or crowded");
  return *found->second;
}

trial::trial(const world& with) : world_(with), name_(with.names().own()) {
  void* const shared =
      ::mmap(nullptr, sizeof(report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) fail("a report's memory");
  report_ = ::new (shared) report{};
  the_board = report_;
  own_memory = memory_in_use();
  void* warm[2];
  ::backtrace(warm, 2);  // loads what it needs
}

trial::~trial() {
  ::munmap(report_, sizeof(report));
  for (const auto& [name, each] : sheets_) ::close(each.file);
}

trial::sheet& trial::sheet_of(const std::string& scene) {
  if (const auto found = sheets_.find(scene); found != sheets_.end()) return found->second;
  sheet made{-1, world_.at(scene).of.bytes()};
  take_own_file(made);
  return sheets_.emplace(scene, std::move(made)).first->second;
}

void trial::take_own_file(sheet& into) {
  into.file = ::open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  struct stat info {};
  if (into.file < 0 || ::fstat(into.file, &info) != 0) fail("/dev/shm");
  const std::uint64_t inode = info.st_ino;
  std::memcpy(into.bytes.data() + offsetof(detail::segment_constants, inode), &inode, sizeof inode);
  seal_header(into.bytes);
}

// Makes the file whole and its changes, in the child: "self" is its own id. The bytes are its
// parent's until they are changed: a copy of all of them would cost more than the case.
void trial::prepare_file(const fuzz_case& what, sheet& on) {
  const world::place& place = world_.at(what.scene);
  const int file = on.file;
  std::vector<unsigned char>& bytes = on.bytes;
  struct stat info {};
  if (::fstat(file, &info) != 0) fail("fstat");
  const file_shape shape = make_changes(what.changes, place.fields, place.of.bystander(), bytes);
  leave_out_living_holders(place, bytes);
  if (static_cast<std::uint64_t>(info.st_size) != bytes.size() &&
      ::ftruncate(file, static_cast<off_t>(bytes.size())) != 0)
    fail("ftruncate");
  if (::pwrite(file, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    fail("writing a case");
  for (const auto& [offset, size] : shape.holes)
    ::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                static_cast<off_t>(size));
  if (shape.size != bytes.size() && ::ftruncate(file, static_cast<off_t>(shape.size)) != 0)
    fail("ftruncate");
}

void trial::run_in_child(const fuzz_case& what, sheet& on) {
  try {
    const world::place& place = world_.at(what.scene);
    const bool named = std::any_of(what.acts.begin(), what.acts.end(), needs_name);
    if (named) take_own_file(on);
    prepare_file(what, on);
    if (named) give_name(on.file, name_);
    silence();
    limit_itself();
    tell_stacks();
    run_operations({on.file, named ? name_ : std::string()},
                   expectations(what, place.of, place.fields), what.acts,
                   [](std::size_t step) { the_board->step = step; });
  } catch (const wrong& found) {
    std::snprintf(the_board->failure, sizeof the_board->failure, "%s", found.what.c_str());
    ::_exit(1);
  } catch (const std::exception& error) {
    std::snprintf(the_board->failure, sizeof the_board->failure, "the case cannot be run: %s",
                  error.what());
    ::_exit(2);
  }
  ::_exit(0);
}

bool trial::wait_for(pid_t child, std::chrono::milliseconds limit, int& status) {
  const int handle = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
  if (handle < 0) fail("pidfd_open");
  pollfd ended{handle, POLLIN, 0};
  const bool in_time = ::poll(&ended, 1, static_cast<int>(limit.count())) == 1;
  ::close(handle);
  if (in_time) ::waitpid(child, &status, 0);
  return in_time;
}

verdict trial::run(const fuzz_case& what, std::chrono::seconds limit) {
  using clock = std::chrono::steady_clock;
  sheet& on = sheet_of(what.scene);
  report_->step = 0;
  report_->frame_count = 0;
  report_->failure[0] = 0;
  const auto began = clock::now();
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(2);
    run_in_child(what, on);
  }
  int status = 0;
  verdict found;
  if (!wait_for(child, limit, status)) {
    found.failure = "has not ended after " + std::to_string(limit.count()) + " s";
    ::kill(child, SIGQUIT);
    if (!wait_for(child, std::chrono::seconds(2), status)) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
    }
  } else if (WIFSIGNALED(status)) {
    found.failure = std::string("killed by SIG") + ::sigabbrev_np(WTERMSIG(status));
  } else if (WEXITSTATUS(status) != 0) {
    found.failure = report_->failure[0] != 0 ? report_->failure
                                             : "exit code " + std::to_string(WEXITSTATUS(status));
  }
  if (std::any_of(what.acts.begin(), what.acts.end(), needs_name)) take_name_away(name_);
  found.took = std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - began);
  found.act = name_of_step(what, report_->step);
  if (const int count = found.good() ? 0 : report_->frame_count.load(); count > 0) {
    // Parent and child are one program at one address.
    char** const names = ::backtrace_symbols(report_->frames, count);
    for (int i = 0; names != nullptr && i < count; ++i) found.stack += std::string(names[i]) + '\n';
    std::free(names);
  }
  return found;
}

}  // namespace outlive::fuzz
