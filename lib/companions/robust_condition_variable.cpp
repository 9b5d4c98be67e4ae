// The protocol: docs/protocol.md, "Condition variable", and docs/model/condition.pml, which finds
// each of the simpler forms wrong.
#include <outlive/robust_condition_variable.hpp>

#include <outlive/error.hpp>

#include "companions/wait_word.hpp"
#include "directory/directory.hpp"
#include "error/failure.hpp"
#include "sys/crash_barrier.hpp"

namespace outlive {

using namespace detail;

namespace {

static_assert(sizeof(robust_condition_variable) == sizeof(condition_bytes) &&
              alignof(robust_condition_variable) == alignof(condition_bytes));

}  // namespace

robust_condition_variable::robust_condition_variable() : seq_(0), magic_(0) {
  require_in_segment(this, "robust condition variable");
  crash_barrier();  // the word is 0 before the magic allows waits
  magic_ = condition_magic;
}

robust_condition_variable::~robust_condition_variable() {
  static_cast<volatile std::uint32_t&>(magic_) = dead_condition_magic;
}

void robust_condition_variable::require_intact() const {
  if (magic_ == condition_magic) return;
  fail(errc::damaged,
       "robust condition variable: found other bytes, or a destroyed one, expected one that was "
       "constructed in a segment");
}

void robust_condition_variable::wake_one() noexcept {
  wait_word::wake_one(seq_);
}

void robust_condition_variable::wake_all() noexcept {
  wait_word::wake_all(seq_);
}

}  // namespace outlive
