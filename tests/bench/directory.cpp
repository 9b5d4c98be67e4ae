// Names: finding one among 10,000 and among a million, making a million, and attaching to a segment
// that has them. Beside it Boost's managed_shared_memory, which people use for this today.
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <outlive/outlive.hpp>

#include "bench/harness.hpp"
#include "bench/peers.hpp"
#include "bench/processes.hpp"

namespace outlive::testing {

namespace {

using boost::interprocess::interprocess_mutex;
using boost_segment = boost::interprocess::managed_shared_memory;

constexpr std::size_t million = 1'000'000;
constexpr std::size_t names_in_a_sample = 2'000;
// names that stay in the caches when a program uses them: all are looked up before a sample
constexpr std::size_t few = 10'000;
// The warm-up looks other names up than the measured loop: among a million, a name that was just
// found is in the caches.
constexpr std::size_t names_with_warm_up = names_in_a_sample + names_in_a_sample / 8 + 1;

// By hand: snprintf would take a tenth of the time that making a lock of that name takes.
struct lock_name {
  std::array<char, 16> text{'l', 'o', 'c', 'k', '/'};
  explicit lock_name(std::size_t number = 0) {
    for (auto digit = text.begin() + 11; digit != text.begin() + 4; --digit, number /= 10) {
      *digit = static_cast<char>('0' + number % 10);
    }
  }
};

std::string name_of(std::size_t locks) {
  return "bench." + std::to_string(::getpid()) + "." + std::to_string(locks);
}

// The numbers of the names, in the order in which they are made.
using making_order = std::vector<std::uint32_t>;
std::shared_ptr<const making_order> order_of(std::size_t locks, bool shuffled) {
  auto order = std::make_shared<making_order>(locks);
  std::iota(order->begin(), order->end(), 0u);
  random_source fixed(1);
  if (shuffled) std::shuffle(order->begin(), order->end(), fixed);
  return order;
}

segment make_outlive(const std::string& name, const making_order& order) {
  const auto locks = order.size();
  segment_options options;
  options.size = locks * 128 + (1u << 20);
  options.directory_capacity = static_cast<std::uint32_t>(locks);
  auto made = segment::create(name, options);
  for (const auto number : order)
    (void)made.find_or_construct<robust_mutex>(lock_name(number).text.data(), "bench");
  return made;
}

// Its name is taken away at once: what is mapped stays.
boost_segment make_boost(const std::string& name, const making_order& order) {
  boost_segment made(boost::interprocess::create_only, name.c_str(),
                     order.size() * 160 + (1u << 20));
  boost::interprocess::shared_memory_object::remove(name.c_str());
  for (const auto number : order)
    made.construct<interprocess_mutex>(lock_name(number).text.data())();
  return made;
}

struct named_segment {
  explicit named_segment(std::size_t locks)
      : name(name_of(locks)), mapped(make_outlive(name, *order_of(locks, false))) {}
  ~named_segment() { segment::unlink(name); }
  named_segment(const named_segment&) = delete;
  named_segment& operator=(const named_segment&) = delete;
  std::string name;
  segment mapped;
};

// The cases "find" and "attach" use the same one.
std::shared_ptr<named_segment> segment_of(std::size_t locks) {
  static std::array<std::pair<std::size_t, std::weak_ptr<named_segment>>, 2> made;
  auto& slot = made[locks == million ? 1 : 0];
  auto found = slot.second.lock();
  if (!found) slot.second = found = std::make_shared<named_segment>(locks);
  return found;
}

bench_case find_case(std::size_t locks) {
  return {"find/one of " + std::to_string(locks), "Boost managed_shared_memory", 1, [locks] {
            auto ours = segment_of(locks);
            auto theirs = std::make_shared<boost_segment>(
                make_boost(ours->name + ".boost", *order_of(locks, false)));
            const auto find_ours = [ours](const lock_name& name) {
              require(ours->mapped.find<robust_mutex>(name.text.data()) != nullptr, "not found");
            };
            const auto find_theirs = [theirs](const lock_name& name) {
              require(theirs->find<interprocess_mutex>(name.text.data()).first != nullptr,
                      "Boost did not find");
            };
            auto names = std::make_shared<std::array<lock_name, names_with_warm_up>>();
            return measurement([=](random_source& random) {
              for (auto& name : *names) name = lock_name(random() % locks);
              const auto looking = [&](auto find) {
                return [&, find, next = names->begin(), warm = false](std::size_t count) mutable {
                  for (std::size_t i = 0; i < few && locks == few && !warm; ++i) find(lock_name(i));
                  warm = true;
                  for (std::size_t i = 0; i < count; ++i) find(*next++);
                };
              };
              return measure_pair({looking(find_ours), names_in_a_sample},
                                  {looking(find_theirs), names_in_a_sample}, random);
            });
          }};
}

// In a child, so that the segment is gone from memory afterwards, whatever its library keeps
// mapped.
template <class Make>
double ns_in_child(Make make) {
  auto* ns = static_cast<std::atomic<double>*>(shared_cells(64));
  const pid_t child = fork_child([&] {
    const auto begin = now_ns();
    const auto made = make();
    *ns = static_cast<double>(now_ns() - begin);
  });
  int status = 0;
  require(::waitpid(child, &status, 0) == child && status == 0, "creating a million locks failed");
  const double result = *ns;
  ::munmap(ns, 64);
  return result / static_cast<double>(million);
}

bench_case create_case(bool shuffled) {
  return {
      std::string("create/one of a million names, ") + (shuffled ? "in random order" : "in order"),
      "Boost managed_shared_memory", 80, [shuffled] {
        return measurement([order = order_of(million, shuffled)](random_source& random) {
          const std::string name = name_of(million) + ".create";
          sample result{};
          const bool reference_first = (random() & 1) != 0;
          const auto theirs = [&] { return make_boost(name + ".boost", *order); };
          if (reference_first) result.reference_ns = ns_in_child(theirs);
          result.subject_ns = ns_in_child([&] {
            auto made = make_outlive(name, *order);
            segment::unlink(name);
            return made;
          });
          if (!reference_first) result.reference_ns = ns_in_child(theirs);
          return result;
        });
      }};
}

double ns_of_probe(const std::string& kind, const std::string& name) {
  std::array<int, 2> ends{};
  require(::pipe2(ends.data(), O_CLOEXEC) == 0, "pipe2");
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::string option = "--attach-probe", what = kind, where = name, self = "outlive_bench";
  std::array<char*, 5> arguments{self.data(), option.data(), what.data(), where.data(), nullptr};
  pid_t child = 0;
  const int rc =
      ::posix_spawn(&child, "/proc/self/exe", &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  require(rc == 0, "cannot start a fresh process");
  std::array<char, 64> text{};
  const auto length = ::read(ends[0], text.data(), text.size() - 1);
  ::close(ends[0]);
  int status = 0;
  require(::waitpid(child, &status, 0) == child && status == 0 && length > 0,
          "the fresh process failed");
  return std::strtod(text.data(), nullptr);
}

bench_case attach_case(const std::string& what, const std::string& kind) {
  return {"attach/" + what, "open, fstat, mmap, one byte", 4, [kind] {
            return measurement([kind, ours = segment_of(million)](random_source&) {
              return sample{ns_of_probe(kind, ours->name), ns_of_probe("bare", ours->name)};
            });
          }};
}

}  // namespace

int attach_probe(const std::string& kind, const std::string& segment_name) {
  const auto begin = now_ns();
  if (kind == "bare") {
    const int fd = ::open(("/dev/shm/outlive." + segment_name).c_str(), O_RDWR | O_CLOEXEC);
    struct stat about {};
    require(fd >= 0 && ::fstat(fd, &about) == 0, "cannot open the segment's file");
    const auto size = static_cast<std::size_t>(about.st_size);
    void* bytes = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    require(bytes != MAP_FAILED, "mmap");
    (void)*static_cast<volatile char*>(bytes);
  } else {
    auto opened = segment::open(segment_name);
    if (kind == "lock") {
      auto* mutex = opened.find<robust_mutex>(lock_name(million / 2).text.data());
      require(mutex != nullptr, "the lock is not there");
      mutex->lock();
      mutex->unlock();
    }
  }
  std::printf("%.0f\n", static_cast<double>(now_ns() - begin));
  return 0;
}

std::vector<bench_case> directory_cases() {
  return {
      find_case(few),
      find_case(million),
      create_case(false),
      create_case(true),
      attach_case("segment::open, a million locks", "open"),
      attach_case("the same, then find and lock one", "lock"),
  };
}

}  // namespace outlive::testing
