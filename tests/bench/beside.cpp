// What a call costs beside much that it does not touch, each against the same call beside little:
// the ratio should stay near 1.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <outlive/outlive.hpp>

#include "bench/harness.hpp"
#include "bench/processes.hpp"

namespace outlive::testing {

namespace {

constexpr std::size_t many_freed = 100'000;
constexpr std::size_t many_segments = 400;
constexpr std::size_t many_processes = 200;

segment with_freed_blocks(std::size_t count) {
  segment_options options;
  options.size = 128 * count + (1u << 20);
  options.directory_capacity = static_cast<std::uint32_t>(count + 16);
  auto made = segment::anonymous(options);
  for (std::size_t i = 0; i < count; ++i) made.find_or_construct<std::uint64_t>(std::to_string(i));
  for (std::size_t i = 0; i < count; ++i) made.destroy<std::uint64_t>(std::to_string(i));
  return made;
}

bench_case freed_case() {
  return {"beside/construct and destroy, 100,000 freed blocks of another length",
          "the same without them", 1, [] {
            auto many = std::make_shared<segment>(with_freed_blocks(many_freed));
            auto none = std::make_shared<segment>(with_freed_blocks(0));
            const auto making = [](const std::shared_ptr<segment>& in) {
              return [in, name = std::string(100, 'l')](std::size_t count) {
                for (std::size_t i = 0; i < count; ++i) {
                  in->find_or_construct<std::uint64_t>(name);
                  in->destroy<std::uint64_t>(name);
                }
              };
            };
            return measurement([subject = calibrated(making(many)),
                                reference = calibrated(making(none))](random_source& random) {
              return measure_pair(subject, reference, random);
            });
          }};
}

// Two mutexes in turns, so that no lock is of the segment that was used last.
bench_case segments_case() {
  return {"beside/lock and unlock, 400 segments in use by the thread",
          "lock and unlock of one raw mutex", 1, [] {
            auto all = std::make_shared<std::vector<segment>>();
            std::vector<robust_mutex*> mutexes;
            segment_options options;
            options.size = 4096;
            options.directory_capacity = 4;
            options.threads = options.participants = 4;
            options.max_held = 4;
            options.lock_classes = 4;
            for (std::size_t i = 0; i < many_segments; ++i) {
              all->push_back(segment::anonymous(options));
              mutexes.push_back(&all->back().find_or_construct<robust_mutex>("mutex", "bench"));
              mutexes.back()->lock();
              mutexes.back()->unlock();
            }
            const auto turns = [all](robust_mutex* one, robust_mutex* other) {
              return [one, other, all](std::size_t count) {
                for (std::size_t i = 0; i < count; ++i) {
                  robust_mutex* const mutex = (i & 1) != 0 ? one : other;
                  mutex->lock();
                  mutex->unlock();
                }
              };
            };
            return measurement([subject = calibrated(turns(mutexes.front(), mutexes.back())),
                                reference = raw_reference()](random_source& random) {
              return measure_pair(subject, reference, random);
            });
          }};
}

// A process that attaches: measured in the child, from the call to its end.
double ns_of_open(const std::string& name) {
  void* const page =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* const ns = static_cast<std::atomic<std::uint64_t>*>(page);
  const pid_t child = fork_child([&] {
    const auto begin = now_ns();
    const auto opened = segment::open(name);
    ns->store(now_ns() - begin);
  });
  int status = 0;
  ::waitpid(child, &status, 0);
  const auto result = static_cast<double>(ns->load());
  ::munmap(page, 4096);
  return result;
}

struct crowd {
  explicit crowd(std::size_t count)
      : name("bench." + std::to_string(::getpid()) + ".crowd." + std::to_string(count)) {
    segment_options options;
    options.participants = 1'024;
    made = std::make_unique<segment>(segment::create(name, options));
    page = static_cast<shared_word*>(
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    for (std::size_t i = 0; i < count; ++i) {
      children.push_back(fork_child([&] {
        const auto opened = segment::open(name);
        set_and_wake(*page, page->load() + 1);
        (void)next_order(page[1], 0);
      }));
      wait_while(*page, static_cast<std::uint32_t>(i));
    }
  }
  ~crowd() {
    for (const pid_t child : children) kill_and_reap(child);
    segment::unlink(name);
  }
  crowd(const crowd&) = delete;
  crowd& operator=(const crowd&) = delete;

  std::string name;
  std::unique_ptr<segment> made;
  shared_word* page = nullptr;
  std::vector<pid_t> children;
};

bench_case processes_case() {
  return {"beside/segment::open in a new process, 200 attached", "the same with 2 attached", 8, [] {
            auto many = std::make_shared<crowd>(many_processes);
            auto few = std::make_shared<crowd>(2);
            return measurement([many, few](random_source&) {
              return sample{ns_of_open(many->name), ns_of_open(few->name)};
            });
          }};
}

}  // namespace

std::vector<bench_case> beside_cases() {
  return {processes_case(), freed_case(), segments_case()};
}

}  // namespace outlive::testing
