#include "killtest/survivor/survivors.hpp"

#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <outlive/note.hpp>
#include <outlive/recover.hpp>
#include <outlive/robust_mutex.hpp>

#include "format/layout.hpp"
#include "format/lock_state.hpp"
#include "format/object_layout.hpp"
#include "killtest/process/child_process.hpp"
#include "killtest/process/unwind.hpp"
#include "killtest/stacks/object_members.hpp"
#include "killtest/state/private_view.hpp"
#include "killtest/survivor/living_client.hpp"

namespace outlive::killtest::detail {

namespace {

robust_mutex& mutex_at(const segment& seg, std::uint64_t offset) {
  return *reinterpret_cast<robust_mutex*>(static_cast<char*>(const_cast<void*>(seg.base())) +
                                          offset);
}

}  // namespace

object_place object_at(const segment& seg, std::uint64_t offset) {
  object_place found;
  const auto* const address = static_cast<const char*>(seg.base()) + offset;
  try {
    seg.for_each([&](const segment::object_info& object) {
      const auto* const begin = static_cast<const char*>(object.address);
      if (address < begin || address >= begin + object.size) return;
      found = {std::string(object.name), std::string(object.type),
               static_cast<std::size_t>(address - begin)};
    });
  } catch (const std::system_error&) {
  }
  return found;
}

std::string name_of(const segment& seg, std::uint64_t offset) {
  const std::string name = object_at(seg, offset).name;
  return name.empty() ? "at offset " + std::to_string(offset) : '"' + name + '"';
}

std::string place_of(const segment& seg, std::uint64_t bit) {
  const object_place at = object_at(seg, bit / 8);
  if (at.name.empty()) return "at offset " + std::to_string(bit / 8);
  const std::string member = member_of_object(at.type, at.offset * 8 + bit % 8);
  return "in \"" + at.name + "\", at byte " + std::to_string(at.offset) + " of it" +
         (member.empty() ? "" : " (" + at.name + member + ')');
}

std::vector<repair_registration> register_repairs(const scenario& what, segment& seg) {
  return what.repairs ? what.repairs(seg) : std::vector<repair_registration>();
}

namespace {

void add_repair(judgement& to, const std::string& of) {
  ++to.repaired;
  to.repairs += (to.repairs.empty() ? "" : ", ") + of;
}

// What lock() says of it, with the text of what the repair throws. recover() has the code alone.
std::string failure_of(const segment& seg, const recovered_mutex& of) {
  const auto offset = static_cast<std::uint64_t>(reinterpret_cast<const char*>(of.mutex) -
                                                 static_cast<const char*>(seg.base()));
  try {
    mutex_at(seg, offset).lock();
    mutex_at(seg, offset).unlock();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "mutex \"" + of.mutex_name + "\" of class \"" + of.lock_class +
         "\": " + of.error.message() + ", and not at a second try";
}

}  // namespace

judgement recover_all(segment& seg, std::span<const std::uint64_t> mutexes) {
  judgement made;
  for (const recovered_mutex& each : recover(seg)) {
    ++made.recovered;
    if (each.outcome == recovery_outcome::repaired) add_repair(made, '"' + each.mutex_name + '"');
    if (!each.error || made.result != verdict::ok) continue;
    made.result = verdict::repair_failed;
    made.what = failure_of(seg, each);
  }
  if (made.result != verdict::ok) return made;
  for (const std::uint64_t offset : mutexes) {
    std::error_code error;
    if (mutex_at(seg, offset).try_lock(error)) {
      if (mutex_at(seg, offset).recovered()) {
        ++made.recovered;
        add_repair(made, name_of(seg, offset));
      }
      mutex_at(seg, offset).unlock();
      continue;
    }
    made.result = error ? verdict::repair_failed : verdict::lock_never_released;
    made.what = "mutex " + name_of(seg, offset) +
                (error ? ": " + error.message() : " is held, and its holder is gone");
    return made;
  }
  return made;
}

void recover_alone(segment& seg, std::uint64_t mutex) {
  std::error_code failed;  // whoever comes next meets it, too
  if (mutex_at(seg, mutex).try_lock(failed)) mutex_at(seg, mutex).unlock();
}

void use_up_attempts(segment& seg, std::span<const std::uint64_t> mutexes) {
  using namespace outlive::detail;
  segment_constants constants;
  std::memcpy(&constants, seg.base(), sizeof constants);
  if (constants.attempts <= 1) return;
  for (const std::uint64_t offset : mutexes) {
    auto& lock = *reinterpret_cast<lock_bytes*>(base_of(seg) + offset);
    std::uint32_t native;
    std::memcpy(&native, &lock.native, sizeof native);
    const lock_state was(lock.state.load(std::memory_order_relaxed));
    if ((native & FUTEX_OWNER_DIED) == 0 || !was.holder()) continue;
    const record_id origin{was.holder().index_plus_1,
                           was.holder().generation & origin_generation_mask};
    const lock_state used_up(was.holder_half(), lock_condition::repairing, constants.attempts - 1,
                             was.origin() ? was.origin() : origin);
    lock.state.store(used_up.word(), std::memory_order_relaxed);
  }
}

// Returns: what the scenario's function says is wrong, or what it threw.
std::string ask(const std::function<std::string(segment&)>& function, const char* name,
                segment& seg) {
  if (!function) return {};
  try {
    return function(seg);
  } catch (const std::exception& error) {
    return std::string(name) + " threw: " + error.what();
  }
}

judgement judge(const scenario& what, segment& seg, std::span<const std::uint64_t> mutexes) {
  judgement made;
  made.what = ask(what.before_recovery, "before_recovery", seg);
  if (made.what.empty()) made.what = ask_living_client(what, seg, mutexes);
  if (!made.what.empty()) {
    made.result = verdict::invariant_violated;
    return made;
  }
  try {
    made = recover_all(seg, mutexes);
  } catch (const std::exception& error) {
    made.result = verdict::repair_failed;
    made.what = std::string("recover() threw: ") + error.what();
  }
  if (made.result != verdict::ok) return made;
  made.what = ask(what.invariant, "the invariant", seg);
  if (!made.what.empty()) made.result = verdict::invariant_violated;
  return made;
}

// ---- heirs -------------------------------------------------------------------------------------

struct survivors::shared {
  std::atomic<std::uint32_t> asked;     // number of the question
  std::atomic<std::uint32_t> answered;  // number of the last answer
  std::uint32_t mutex_count;
  std::uint32_t without_repair;  // whether that of `taken_out` does nothing; refused: cleared
  std::uint64_t taken_out;
  std::uint32_t at_last_attempt;
  std::uint32_t result;
  std::uint32_t recovered;
  std::uint32_t repaired;
  char what[failure_bytes];
  char repairs[failure_bytes];
  std::uint32_t crash_frames;
  std::uintptr_t crashed_at[max_frames];
  char failure[failure_bytes];
  std::uint64_t mutexes[max_mutexes];
};

namespace {

std::string hung_text(std::chrono::milliseconds limit) {
  return "the heir was not done within " + std::to_string(limit.count()) + " ms";
}

// Returns: false if `word` still is `is` when the limit is over.
bool wait_while(const std::atomic<std::uint32_t>& word, std::uint32_t is,
                std::chrono::milliseconds limit) noexcept {
  if (word.load(std::memory_order_acquire) != is) return true;
  const timespec time{static_cast<time_t>(limit.count() / 1000),
                      static_cast<long>(limit.count() % 1000) * 1'000'000};
  ::syscall(SYS_futex, &word, FUTEX_WAIT, is, &time, nullptr, 0);
  return word.load(std::memory_order_acquire) != is;
}

void store_and_wake(std::atomic<std::uint32_t>& word, std::uint32_t value) noexcept {
  word.store(value, std::memory_order_release);
  ::syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace

survivors::survivors(const scenario& what, segment& seg, bool isolate,
                     std::chrono::milliseconds limit)
    : what_(what),
      seg_(seg),
      isolate_(isolate),
      limit_(limit),
      shared_(static_cast<shared*>(map_shared(sizeof(shared)))) {}

survivors::~survivors() {
  end();
  unmap_shared(shared_, sizeof(shared));
}

void survivors::end() noexcept {
  if (pid_ != 0) end_process(std::exchange(pid_, 0));
}

void survivors::start() {
  if (isolate_) return;
  auto* const base = static_cast<char*>(const_cast<void*>(seg_.base()));
  if (before_.empty()) {
    before_.assign(base, seg_.size_bytes());
  } else {
    std::memcpy(base, before_.data(), before_.size());  // without the record of the former one
  }
  asked_ = 0;
  shared_->asked.store(0);
  shared_->answered.store(~0U);
  shared_->failure[0] = 0;
  pid_ = start_process([this] { serve(); }, shared_->failure);
  const judgement begun = wait_for_answer(0);
  if (pid_ == 0)
    throw std::runtime_error("no heir could be started: " + begun.what + " " + shared_->failure);
}

// Of a heir: where it was when a signal ended it. A handler of the scenario's own stays.
void survivors::report_crashes() {
  static shared* to;
  to = shared_;
  prepare_unwind();
  struct sigaction handler {};
  handler.sa_sigaction = [](int signal, siginfo_t*, void* context) {
    std::uintptr_t frames[max_frames];
    const std::size_t count = unwind(context, frames);
    std::copy_n(frames, count, to->crashed_at);
    to->crash_frames = static_cast<std::uint32_t>(count);
    ::raise(signal);  // by default now, after this handler: SA_RESETHAND
  };
  handler.sa_flags = SA_SIGINFO | static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) {
    struct sigaction former {};
    if (::sigaction(signal, nullptr, &former) == 0 && former.sa_handler == SIG_DFL)
      ::sigaction(signal, &handler, nullptr);
  }
}

void survivors::serve() {
  // Claims a thread record in the shared bytes. The name of a lock class that is new goes there,
  // too.
  note(seg_, 0);
  const auto registered = register_repairs(what_, seg_);
  report_crashes();
  private_view view(seg_);
  std::uint32_t number = 0;
  for (;;) {
    store_and_wake(shared_->answered, number);
    // However long: it dies with its parent.
    while (!wait_while(shared_->asked, number, std::chrono::hours(1))) {
    }
    number = shared_->asked.load(std::memory_order_acquire);
    view.reset();
    answer();
  }
}

void survivors::answer() {
  repair_registration nothing;
  if (shared_->without_repair != 0) {
    try {
      nothing = on_owner_death(mutex_at(seg_, shared_->taken_out),
                               [](const owner_death&) { return repaired; });
    } catch (const std::system_error&) {
      shared_->without_repair = 0;
    }
  }
  if (shared_->at_last_attempt != 0)
    use_up_attempts(seg_, {shared_->mutexes, shared_->mutex_count});
  const judgement made = judge(what_, seg_, {shared_->mutexes, shared_->mutex_count});
  shared_->result = static_cast<std::uint32_t>(made.result);
  shared_->recovered = made.recovered;
  shared_->repaired = made.repaired;
  std::strncpy(shared_->what, made.what.c_str(), failure_bytes - 1);
  std::strncpy(shared_->repairs, made.repairs.c_str(), failure_bytes - 1);
}

judgement survivors::read() const {
  return {static_cast<verdict>(shared_->result), shared_->what, shared_->recovered,
          shared_->repaired, shared_->repairs};
}

// Waits until the process has answered, has ended, or its time is over. In the latter two cases it
// is gone.
judgement survivors::wait_for_answer(std::uint32_t number) {
  hang_watch watch(pid_, limit_);
  for (;;) {
    const std::uint32_t seen = shared_->answered.load(std::memory_order_acquire);
    if (seen == number) return read();
    if (wait_while(shared_->answered, seen, watch.look_again)) continue;
    process_end ended;
    if (has_ended(pid_, ended)) {
      pid_ = 0;
      return crash(ended);
    }
    if (!watch.is_hung()) continue;
    end();
    return {verdict::repair_hung, hung_text(limit_), 0, 0};
  }
}

void survivors::ask_for(std::span<const std::uint64_t> mutexes) noexcept {
  shared_->mutex_count = static_cast<std::uint32_t>(std::min(mutexes.size(), max_mutexes));
  std::copy_n(mutexes.begin(), shared_->mutex_count, shared_->mutexes);
  shared_->what[0] = 0;
  shared_->repairs[0] = 0;
  shared_->crash_frames = 0;
  shared_->without_repair = 0;
  shared_->at_last_attempt = 0;
}

std::optional<judgement> survivors::ask_without_repair(std::span<const std::uint64_t> mutexes,
                                                       std::uint64_t of) {
  ask_for(mutexes);
  shared_->taken_out = of;
  shared_->without_repair = 1;
  const judgement found = ask();
  return shared_->without_repair != 0 ? std::optional(found) : std::nullopt;
}

judgement survivors::ask_at_last_attempt(std::span<const std::uint64_t> mutexes) {
  ask_for(mutexes);
  shared_->at_last_attempt = 1;
  return ask();
}

judgement survivors::ask() {
  if (isolate_) return ask_a_fresh_one(seg_.fd());
  store_and_wake(shared_->asked, ++asked_);
  return wait_for_answer(asked_);
}

judgement survivors::ask(std::span<const std::uint64_t> mutexes) {
  ask_for(mutexes);
  return ask();
}

judgement survivors::ask_about(int fd, std::span<const std::uint64_t> mutexes) {
  ask_for(mutexes);
  return ask_a_fresh_one(fd);
}

judgement survivors::ask_a_fresh_one(int fd) {
  const pid_t pid = start_process(
      [&] {
        map_private_view(seg_, fd);
        const auto registered = register_repairs(what_, seg_);
        report_crashes();
        answer();
      },
      shared_->failure);
  const process_end ended = wait_for(pid, limit_);
  if (ended.exited(0)) return read();
  if (!ended.in_time) return {verdict::repair_hung, hung_text(limit_), 0, 0};
  if (ended.threw()) return {verdict::repair_failed, shared_->failure, 0, 0};
  return crash(ended);
}

judgement survivors::crash(const process_end& ended) const {
  judgement made{verdict::repair_crashed, "the heir " + to_string(ended)};
  const std::size_t frames = std::min<std::size_t>(shared_->crash_frames, max_frames);
  if (ended.signalled()) made.crashed_at.assign(shared_->crashed_at, shared_->crashed_at + frames);
  return made;
}

}  // namespace outlive::killtest::detail
