// Jobs through a queue of a thousand slots, from one producer to some consumers in other processes:
// nanoseconds from one job to the next, until all are done. Beside Boost.Interprocess's
// message_queue, which has the same room, the same bytes a job, and forgets what a killed consumer
// had.
#include <boost/interprocess/ipc/message_queue.hpp>

#include <unistd.h>

#include <array>
#include <cstdint>
#include <memory>
#include <new>
#include <string>

#include <outlive/segment.hpp>
#include <outlive/work_queue.hpp>

#include "bench/harness.hpp"
#include "bench/peers.hpp"
#include "bench/processes.hpp"

namespace outlive::testing {

namespace {

struct job {
  std::uint64_t number;
  std::uint64_t more;
};
constexpr std::uint32_t room = 1024;
constexpr std::uint64_t jobs = 20'000, last = ~std::uint64_t{0};
constexpr unsigned max_consumers = 8;

using queue = work_queue<job, room>;
using peer = boost::interprocess::message_queue;

/// Children of fork use it through the mapping that they inherit; its name is not needed.
std::shared_ptr<peer> make_peer(const std::string& what) {
  const std::string name = "outlive-bench-" + std::to_string(::getpid()) + "-" + what;
  peer::remove(name.c_str());
  auto made =
      std::make_shared<peer>(boost::interprocess::create_only, name.c_str(), room, sizeof(job));
  peer::remove(name.c_str());
  return made;
}

job receive(peer& from) {
  job got;
  std::size_t size = 0;
  unsigned priority = 0;
  from.receive(&got, sizeof got, size, priority);
  return got;
}

enum contender : std::uint32_t { boost_queue = 0, outlive_queue = 1 };

struct contest {
  shared_word turn{0};
  shared_word finished{0};  // consumers, in all turns
  shared_word ended{0};     // the turn that all of them have finished
  contender kind = boost_queue;
  struct alignas(64) tally {
    std::uint64_t jobs = 0;
    std::uint64_t sum = 0;
  };
  std::array<tally, max_consumers> tallies{};
};

template <class Take>
void consume(contest::tally& mine, Take take) {
  mine = {};
  for (std::uint64_t number = take(); number != last; number = take()) {
    ++mine.jobs;
    mine.sum += number;
  }
}

void work(contest& shared, queue& subject, peer& reference, unsigned me, unsigned consumers) {
  pin_to(nth_cpu(static_cast<int>(me)));
  for (std::uint32_t turn = 0;;) {
    turn = next_order(shared.turn, turn);
    if (shared.kind == boost_queue) {
      consume(shared.tallies[me], [&] { return receive(reference).number; });
    } else {
      consume(shared.tallies[me], [&] {
        auto one = subject.pop();
        const std::uint64_t number = one->number;
        one.done();
        return number;
      });
    }
    if ((shared.finished.fetch_add(1) + 1) % consumers == 0) set_and_wake(shared.ended, turn);
  }
}

class contest_of_queues {
 public:
  explicit contest_of_queues(unsigned consumers)
      : consumers_(consumers),
        segment_(segment::anonymous()),
        subject_(segment_.find_or_construct<queue>("jobs")),
        reference_(make_peer(std::to_string(consumers))),
        shared_(::new (shared_cells(sizeof(contest))) contest) {
    for (unsigned i = 0; i < consumers; ++i) {
      children_[i] =
          fork_child([this, i] { work(*shared_, subject_, *reference_, i, consumers_); });
    }
  }
  ~contest_of_queues() {
    for (unsigned i = 0; i < consumers_; ++i) kill_and_reap(children_[i]);
  }
  contest_of_queues(const contest_of_queues&) = delete;
  contest_of_queues& operator=(const contest_of_queues&) = delete;

  double ns_per_job(contender kind) {
    shared_->kind = kind;
    const std::uint32_t turn = shared_->turn + 1;
    const auto begin = now_ns();
    set_and_wake(shared_->turn, turn);
    for (std::uint64_t i = 0; i < jobs; ++i) put(kind, i);
    for (unsigned i = 0; i < consumers_; ++i) put(kind, last);
    wait_while(shared_->ended, turn - 1);
    const auto length = now_ns() - begin;

    std::uint64_t count = 0, sum = 0;
    for (unsigned i = 0; i < consumers_; ++i) {
      count += shared_->tallies[i].jobs;
      sum += shared_->tallies[i].sum;
    }
    require(count == jobs && sum == jobs * (jobs - 1) / 2, "a job was lost, or came twice");
    return static_cast<double>(length) / static_cast<double>(jobs);
  }

 private:
  void put(contender kind, std::uint64_t number) {
    const job one{number, 0};
    if (kind == boost_queue) {
      reference_->send(&one, sizeof one, 0);
    } else {
      subject_.push(one);
    }
  }

  unsigned consumers_;
  segment segment_;
  queue& subject_;
  std::shared_ptr<peer> reference_;
  contest* shared_;
  std::array<pid_t, max_consumers> children_{};
};

bench_case case_of(unsigned consumers) {
  return {"queue/push, pop, done; " + std::to_string(consumers) +
              (consumers == 1 ? " consumer" : " consumers"),
          "Boost message_queue", 10, [=] {
            return measurement(
                [contest = std::make_shared<contest_of_queues>(consumers)](random_source& random) {
                  sample result{};
                  const bool reference_first = (random() & 1) != 0;
                  if (reference_first) result.reference_ns = contest->ns_per_job(boost_queue);
                  result.subject_ns = contest->ns_per_job(outlive_queue);
                  if (!reference_first) result.reference_ns = contest->ns_per_job(boost_queue);
                  return result;
                });
          }};
}

// What the calls themselves cost: one thread, which is never alone in its process.
bench_case case_alone() {
  return {"queue/push, pop, done; one thread", "Boost message_queue", 1, [] {
            segment seg = segment::anonymous();
            auto& subject = seg.find_or_construct<queue>("jobs");
            const auto reference = make_peer("alone");
            const operation ours = calibrated([&subject, seg](std::size_t count) {
              for (std::size_t i = 0; i < count; ++i) {
                subject.push({i, 0});
                subject.pop().done();
              }
            });
            const operation theirs = calibrated([reference](std::size_t count) {
              for (std::size_t i = 0; i < count; ++i) {
                const job one{i, 0};
                reference->send(&one, sizeof one, 0);
                static_cast<void>(receive(*reference));
              }
            });
            return measurement(
                [=](random_source& random) { return measure_pair(ours, theirs, random); });
          }};
}

}  // namespace

std::vector<bench_case> queue_cases() {
  return {case_of(1), case_of(4), case_alone()};
}

}  // namespace outlive::testing
