// price_list: many processes read a list while one changes it. A reader is killed while it reads,
// then the writer in the middle of a change.
//
// pthread's process-shared rwlock would keep the writer out for ever after the first death, and all
// readers after the second.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>

#include <outlive/guarded.hpp>
#include <outlive/repair.hpp>
#include <outlive/robust_shared_mutex.hpp>
#include <outlive/segment.hpp>

namespace {

// Invariant: all prices are of the same day.
struct price_list {
  long day = 0;
  std::array<long, 100> day_of_price{};

  [[nodiscard]] bool is_whole() const {
    for (const long each : day_of_price) {
      if (each != day) return false;
    }
    return true;
  }
};

using guarded_list = outlive::guarded<price_list, outlive::robust_shared_mutex>;

// Each change waits for all readers, and they for a processor: few enough for a busy machine.
constexpr long days = 100;

// The day changes last: prices of an unfinished day are rolled back to the day before.
outlive::repair_result put_back(price_list& list, const outlive::owner_death&) {
  list.day_of_price.fill(list.day);
  return outlive::repaired;
}

void change(guarded_list& list, long dies_on) {
  for (;;) {
    auto x = list.lock();
    const long next = x->day + 1;
    if (next > days) return;
    for (std::size_t i = 0; i < x->day_of_price.size(); ++i) {
      if (next == dies_on && i == 50) raise(SIGKILL);
      x->day_of_price[i] = next;
    }
    x->day = next;
  }
}

void read_until_the_last_day(guarded_list& list) {
  for (;;) {
    const auto x = list.lock_shared();
    if (!x->is_whole()) _exit(1);
    if (x->day == days) return;
  }
}

template <class Work>
pid_t start(Work work) {
  const pid_t pid = fork();
  if (pid == 0) {
    work();
    _exit(0);
  }
  return pid;
}

int end_of(pid_t pid) {
  int status = 0;
  waitpid(pid, &status, 0);
  return status;
}

}  // namespace

int main() {
  auto segment = outlive::segment::anonymous();
  auto repair = outlive::on_owner_death<price_list, outlive::robust_shared_mutex>(segment, "prices",
                                                                                  put_back);
  auto& list = segment.find_or_construct<guarded_list>("prices", "prices");

  const pid_t killed_reader = start([&] {
    const auto x = list.lock_shared();
    raise(SIGKILL);
  });
  const bool reader_died = WIFSIGNALED(end_of(killed_reader));
  const pid_t killed_writer = start([&] { change(list, days / 2); });
  std::array<pid_t, 3> readers{};
  for (pid_t& each : readers) each = start([&] { read_until_the_last_day(list); });
  const bool writer_died = WIFSIGNALED(end_of(killed_writer));
  change(list, 0);

  int whole = 0;
  for (const pid_t each : readers) whole += end_of(each) == 0 ? 1 : 0;
  std::printf(
      "a reader and a writer were killed inside; %d of 3 readers saw only whole lists until day "
      "%ld\n",
      whole, list.lock_shared()->day);
  return reader_died && writer_died && whole == 3 ? 0 : 1;
}
