// Real kills: each failing state, and a sample of the others, once more with a SIGKILL at the same store.
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <system_error>

#include "killtest/acts.hpp"
#include "killtest/explorer.hpp"
#include "killtest/fault_scout.hpp"
#include "killtest/process.hpp"

namespace outlive::killtest::detail {

namespace {

// A file of the segment's size, which goes with its last descriptor.
class copy_of_segment {
 public:
  explicit copy_of_segment(const segment& seg) : fd_(::memfd_create("outlive-killtest", MFD_CLOEXEC)), size_(seg.size_bytes()) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "memfd_create");
    const auto* const base = static_cast<const char*>(seg.base());
    for (std::size_t at = 0; at < size_;) {
      const ssize_t written = ::write(fd_, base + at, size_ - at);
      if (written <= 0) throw std::system_error(errno, std::generic_category(), "a copy of the segment");
      at += static_cast<std::size_t>(written);
    }
    bytes_ = static_cast<char*>(::mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd_, 0));
    if (bytes_ == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "a copy of the segment");
  }
  ~copy_of_segment() {
    ::munmap(bytes_, size_);
    ::close(fd_);
  }
  copy_of_segment(const copy_of_segment&) = delete;
  copy_of_segment& operator=(const copy_of_segment&) = delete;
  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] const char* bytes() const noexcept { return bytes_; }

 private:
  int fd_;
  std::size_t size_;
  char* bytes_ = nullptr;
};

}  // namespace

void explorer::confirm_some() {
  std::vector<std::size_t> failing, passing;
  for (std::size_t i = 0; i < report_.states.size(); ++i) {
    if (chains_[i].empty()) continue;
    (report_.states[i].result == verdict::ok ? passing : failing).push_back(i);
  }
  std::mt19937_64 random(how_.seed);
  std::shuffle(passing.begin(), passing.end(), random);
  if (failing.size() > how_.confirm) {
    cut("real kills for " + std::to_string(failing.size() - how_.confirm) + " of the failing states (confirm)");
    failing.resize(how_.confirm);
  }
  if (passing.size() > how_.confirm) passing.resize(how_.confirm);
  for (const auto* const chosen : {&failing, &passing}) {
    for (const std::size_t i : *chosen) {
      confirm(report_.states[i], chains_[i]);
      show_progress();
    }
  }
}

void explorer::confirm(crash_state& state, const death_chain& deaths) {
  const auto differs = [&](const std::string& how) {
    state.result = verdict::model_differs;
    state.what = how + (state.what.empty() ? std::string() : "; expected: " + state.what);
  };
  world_->seek({});
  const copy_of_segment copy(seg_);
  shared_text failure;
  for (const log_position& each : deaths) {
    const bool is_victim = &each == &deaths.front();
    const kill_plan plan{each.stores - each.log->setup, each.before_next};
    const act what = is_victim ? act_of_victim(what_, how_, seg_) : act_of_heir(what_, seg_, world_->mutexes());
    log_.reset();
    const pid_t pid = start_process([&] {
      take_view_of(seg_, copy.fd());
      const auto registered = what.set_up();
      begin_logging(log_, base_of(seg_), seg_.size_bytes(), &plan);
      what.tested();
      static_cast<void>(end_logging());
    }, failure.text());
    const process_end ended = wait_for(pid, how_.time_limit * 10);
    if (!ended.signalled() || ended.signal() != SIGKILL) {
      return differs("killed for real, the " + std::string(is_victim ? "victim" : "heir") + " was not where it should die: it " +
                     (ended.exited(113) ? std::string("threw: ") + failure.text() : to_string(ended)));
    }
  }
  world_->seek(deaths);
  if (const auto offset = world_->first_difference(copy.bytes())) {
    return differs("a real SIGKILL left other bytes at offset " + std::to_string(*offset));
  }
  heirs fresh(what_, seg_, true, how_.time_limit);
  const judgement found = fresh.ask_about(copy.fd(), world_->mutexes());
  if (found.result != state.result) {
    return differs("after a real SIGKILL the heir came to \"" + std::string(to_string(found.result)) + "\" " + found.what);
  }
  state.confirmed = true;
  ++report_.confirmed;
}

}  // namespace outlive::killtest::detail
