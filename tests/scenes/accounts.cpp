#include "scenes/accounts.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <sstream>

#include "format/lock_state.hpp"
#include "records/marks.hpp"
#include "segment/segment_access.hpp"
#include "support/leaks.hpp"
#include "sys/native_mutex.hpp"

namespace outlive::testing {
namespace {

namespace inner = outlive::detail;

void describe_task(std::ostream& out, std::uint32_t tid) {
  const char state = tid == 0 ? 0 : task_state(static_cast<pid_t>(tid));
  out << tid << " (" << (state == 0 ? std::string("no such task") : std::string(1, state)) << ')';
}

void describe_mutex(std::ostream& out, const inner::lock_bytes& lock) {
  const std::uint32_t word = inner::native_mutex::word(lock.native);
  const inner::lock_state state(lock.state.load());
  out << "native owner ";
  describe_task(out, word & inner::native_mutex::tid_mask);
  if ((word & inner::native_mutex::owner_died) != 0) out << " OWNER_DIED";
  if ((word & inner::native_mutex::waiters) != 0) out << " WAITERS";
  out << ", holder record " << state.holder().index_plus_1 << '/' << state.holder().generation
      << " (index+1/generation), condition " << static_cast<unsigned>(state.condition())
      << ", attempts " << state.attempts() << ", origin " << state.origin().index_plus_1 << '/'
      << state.origin().generation << '\n';
}

pid_t run_victim(const accounts& all, unsigned index, bool by_signal, source_line at) {
  child victim("victim", [&](agent&) {
    all.lock_and_tear(index);
    if (by_signal) kill(getpid(), SIGKILL);
    _exit(0);
  });
  if (by_signal) {
    victim.expect_killed(SIGKILL, at);
  } else {
    victim.expect_exit(0, at);
  }
  if (all.value(index).whole())
    ADD_FAILURE_AT(at.file, at.line)
        << "the victim never was inside: account " << index << " is whole";
  return victim.pid();
}

}  // namespace

segment_options small_segment() {
  segment_options options;
  options.size = 64 * 1024;
  options.directory_capacity = 80;
  options.threads = 24;
  options.participants = 24;
  options.lock_classes = 16;
  return options;
}

accounts::accounts(unsigned count, const segment_options& options, record of_the_test)
    : seg_(segment::anonymous(options)), count_(count) {
  if (of_the_test == record::taken) note(seg_, 0);
  for (unsigned i = 0; i < count; ++i) {
    all_[i] = &seg_.find_or_construct<guarded<account>>("account " + std::to_string(i), "account");
  }
}

unsigned accounts::index_of(const robust_mutex& mutex) const {
  for (unsigned i = 0; i < count_; ++i) {
    if (&all_[i]->mutex() == &mutex) return i;
  }
  throw std::logic_error("no account has this mutex");
}

repair_result accounts::mend(account& value, const owner_death& death) const {
  (*started_)[index_of(death.mutex())].fetch_add(1);
  value.mend();
  return repaired;
}

repair_registration accounts::mended_here() const {
  return on_owner_death<account>(seg_, "account", [this](account& value, const owner_death& death) {
    return mend(value, death);
  });
}

unsigned accounts::repairs() const {
  unsigned sum = 0;
  for (const auto& each : *started_) sum += each.load();
  return sum;
}

void accounts::lock_and_tear(unsigned index) const {
  mutex(index).lock();
  value(index).tear();
}

child::body accounts::holder(unsigned index) const {
  return [this, index](agent& parent) {
    lock_and_tear(index);
    parent.tell("inside");
    parent.pause_forever();
  };
}

bool accounts::has_waited(pid_t tid) const {
  const inner::mapping& mapped = *inner::segment_access::mapping_of(seg_);
  for (std::uint32_t i = 0; i < mapped.record_count(); ++i) {
    const inner::thread_record& record = mapped.record(i);
    if (record.tid.load() == static_cast<std::uint32_t>(tid) && record.waits.load() != 0)
      return true;
  }
  return false;
}

std::string accounts::who_holds_what() const {
  const inner::mapping& mapped = *inner::segment_access::mapping_of(seg_);
  std::ostringstream out;
  for (unsigned i = 0; i < count_; ++i) {
    const auto& lock = reinterpret_cast<const inner::lock_bytes&>(all_[i]->mutex());
    const bool free =
        inner::native_mutex::word(lock.native) == 0 && lock.state.load() == inner::free_consistent;
    if (free && count_ > 1) continue;
    out << "  account " << i << ": ";
    describe_mutex(out, lock);
  }
  for (std::uint32_t i = 0; i < inner::records_in_use(mapped); ++i) {
    const inner::thread_record& record = mapped.record(i);
    out << "  record " << i << ": tid ";
    describe_task(out, record.tid.load());
    out << ", generation " << record.generation.load() << ", liveness held by ";
    describe_task(out, inner::native_mutex::word(record.liveness) & inner::native_mutex::tid_mask);
    out << '\n';
  }
  return out.str();
}

pid_t kill_a_holder(const accounts& all, unsigned index, source_line at) {
  return run_victim(all, index, true, at);
}

pid_t leave_holding(const accounts& all, unsigned index, source_line at) {
  return run_victim(all, index, false, at);
}

survival try_to_survive(const accounts& all, unsigned index, milliseconds limit, source_line at) {
  struct outcome {
    survival how;
    int code = 0;
    bool ours = false;
  };
  shared_object<outcome> report;
  child survivor("survivor", [&](agent& parent) {
    std::error_code error;
    all.mutex(index).lock(error);
    report->how.acquired = !error;
    report->code = error.value();
    report->ours = error.category() == error_category();
    if (!error) {
      report->how.recovered = all.mutex(index).recovered();
      report->how.whole = all.value(index).whole();
      all.mutex(index).unlock();
    }
    parent.tell("done");
  });
  try {
    survivor.wait_for("done", limit);
  } catch (const std::exception& failure) {
    ADD_FAILURE_AT(at.file, at.line)
        << "lock() of account " << index << " did not return: " << failure.what() << '\n'
        << all.who_holds_what();
    return {};
  }
  survivor.expect_exit(0, at);
  survival how = report->how;
  how.returned = true;
  if (report->code != 0) {
    how.error = report->ours ? make_error_code(static_cast<errc>(report->code))
                             : std::error_code(report->code, std::generic_category());
  }
  return how;
}

void expect_survivor(const accounts& all, unsigned index, bool recovered, source_line at) {
  const survival how = try_to_survive(all, index, default_timeout(), at);
  if (!how.returned) return;
  if (!how.acquired) {
    ADD_FAILURE_AT(at.file, at.line)
        << "the survivor did not get account " << index << ": " << how.error.message() << '\n'
        << all.who_holds_what();
    return;
  }
  if (how.recovered != recovered) {
    ADD_FAILURE_AT(at.file, at.line) << "account " << index << ": recovered() said "
                                     << how.recovered << ", expected " << recovered;
  }
  if (!how.whole)
    ADD_FAILURE_AT(at.file, at.line)
        << "account " << index << " is torn, and the survivor was let in";
}

void expect_refused(const accounts& all, unsigned index, errc error, source_line at) {
  const survival how = try_to_survive(all, index, default_timeout(), at);
  if (!how.returned) return;
  if (how.error != make_error_code(error)) {
    ADD_FAILURE_AT(at.file, at.line)
        << "account " << index << ": expected \"" << make_error_code(error).message()
        << "\", found " << (how.acquired ? "that the survivor got it" : how.error.message());
  }
}

void expect_usable(const accounts& all, unsigned index, source_line at) {
  const unsigned before = all.repairs(index);
  expect_survivor(all, index, false, at);
  if (all.repairs(index) != before) {
    ADD_FAILURE_AT(at.file, at.line) << "account " << index << ": a repair ran that was not due";
  }
}

}  // namespace outlive::testing
