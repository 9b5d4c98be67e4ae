// Recovery: from the SIGKILL of a holder to the first instruction that the heir's program gets to
// run for it. With the raw mutex that is the return of EOWNERDEAD, with outlive the call of the
// repair. Both go in turns through the same processes.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <memory>
#include <new>
#include <string>

#include <outlive/repair.hpp>
#include <outlive/robust_mutex.hpp>
#include <outlive/segment.hpp>

#include "bench/harness.hpp"
#include "bench/peers.hpp"
#include "bench/processes.hpp"

namespace outlive::testing {

namespace {

enum death_lock : std::uint32_t { raw_mutex = 0, outlive_mutex = 1 };

struct death_scene {
  shared_word request{0};  // counted up by the benchmark for the director
  shared_word reply{0};
  shared_word summons{0};    // counted up by the director for the heir
  shared_word waiting{0};    // the heir is at the lock
  shared_word recovered{0};  // the heir has had it
  shared_word holding{0};    // the holder has it
  death_lock kind = raw_mutex;
  bool heir_waits = true;  // false: the owner is dead and reaped before anybody asks for the lock
  std::size_t resident_bytes = 0;
  std::uint64_t first_instruction = 0;  // clock, in the heir's program
  double heir_ns = 0;                   // from the heir's call of lock to the end of its unlock
  double ns = 0;
  alignas(64) pthread_mutex_t raw;
};

void take(death_scene& scene, robust_mutex& mutex) {
  if (scene.kind == outlive_mutex) {
    mutex.lock();
  } else {
    require(::pthread_mutex_lock(&scene.raw) == 0, "the raw mutex is not free for its holder");
  }
}

// Locks after an owner's death, and leaves the mutex free and consistent.
void inherit(death_scene& scene, robust_mutex& mutex) {
  scene.first_instruction = 0;
  if (scene.kind == outlive_mutex) {
    mutex.lock();  // the repair notes the time
    mutex.unlock();
  } else {
    const int rc = ::pthread_mutex_lock(&scene.raw);
    scene.first_instruction = now_ns();
    require(rc == EOWNERDEAD, "the raw mutex did not report its owner's death");
    ::pthread_mutex_consistent(&scene.raw);
    ::pthread_mutex_unlock(&scene.raw);
  }
  require(scene.first_instruction != 0, "no repair ran");
}

// The director lives in a small process of its own: what the benchmark has mapped by then must not
// lengthen its children's deaths.
class director {
 public:
  director(death_scene& scene, machine_cpus cpus)
      : scene_(scene),
        cpus_(cpus),
        segment_(segment::anonymous()),
        mutex_(segment_.find_or_construct<robust_mutex>("inherited", "bench")),
        repair_(on_owner_death(mutex_, [this](const owner_death&) {
          scene_.first_instruction = now_ns();
          return repaired;
        })) {
    pin_to(cpus_.cpu);
    heir_ = fork_child([this] { be_heir(); });
  }

  void serve() {
    for (std::uint32_t served = 0;;) {
      served = next_order(scene_.request, served);
      scene_.ns = measure();
      set_and_wake(scene_.reply, served);
    }
  }

 private:
  void be_heir() {
    for (std::uint32_t summoned = 0;;) {
      summoned = next_order(scene_.summons, summoned);
      set_and_wake(scene_.waiting, summoned);
      const auto begin = now_ns();
      inherit(scene_, mutex_);
      scene_.heir_ns = static_cast<double>(now_ns() - begin);
      set_and_wake(scene_.recovered, summoned);
    }
  }

  void be_holder(std::uint32_t number) {
    pin_to(cpus_.other_cpu);
    if (scene_.resident_bytes != 0) {
      auto* bytes =
          static_cast<volatile char*>(::mmap(nullptr, scene_.resident_bytes, PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
      require(bytes != MAP_FAILED, "no memory for the holder");
      for (std::size_t i = 0; i < scene_.resident_bytes; i += 4096) bytes[i] = 1;
    }
    take(scene_, mutex_);
    set_and_wake(scene_.holding, number);
    for (;;) ::pause();
  }

  double measure() {
    const auto number = scene_.holding.load() + 1;
    const pid_t holder = fork_child([this, number] { be_holder(number); });
    wait_while(scene_.holding, number - 1);
    wait_until_asleep(holder);
    const auto summons = scene_.summons.load() + 1;
    if (!scene_.heir_waits) {
      kill_and_reap(holder);
      set_and_wake(scene_.summons, summons);
      wait_while(scene_.recovered, summons - 1);
      return scene_.heir_ns;
    }
    set_and_wake(scene_.summons, summons);
    wait_while(scene_.waiting, summons - 1);
    wait_until_asleep(heir_);
    const auto begin = now_ns();
    ::kill(holder, SIGKILL);
    wait_while(scene_.recovered, summons - 1);
    ::waitpid(holder, nullptr, 0);
    return static_cast<double>(scene_.first_instruction - begin);
  }

  death_scene& scene_;
  machine_cpus cpus_;
  segment segment_;
  robust_mutex& mutex_;
  repair_registration repair_;
  pid_t heir_ = 0;
};

// The kernel kills whom it likes when memory runs out, and we measure kills.
void require_memory(std::size_t bytes) {
  std::ifstream info("/proc/meminfo");
  for (std::string line; std::getline(info, line);) {
    if (line.compare(0, 13, "MemAvailable:") != 0) continue;
    require(std::stoull(line.substr(13)) * 1024 > bytes * 2,
            "needs twice as much free memory as the holder takes");
    return;
  }
}

class recovery_stage {
 public:
  explicit recovery_stage(machine_cpus cpus)
      : scene_(::new (shared_cells(sizeof(death_scene))) death_scene) {
    init_raw_mutex(&scene_->raw, raw_kind::robust);
    director_ = fork_child([this, cpus] { director(*scene_, cpus).serve(); });
  }
  ~recovery_stage() { kill_and_reap(director_); }
  recovery_stage(const recovery_stage&) = delete;
  recovery_stage& operator=(const recovery_stage&) = delete;

  double ask(death_lock kind, bool heir_waits, std::size_t resident_bytes) {
    scene_->kind = kind;
    scene_->heir_waits = heir_waits;
    scene_->resident_bytes = resident_bytes;
    const auto before = scene_->reply.load();
    set_and_wake(scene_->request, scene_->request + 1);
    wait_while(scene_->reply, before);
    return scene_->ns;
  }

 private:
  death_scene* scene_;
  pid_t director_ = 0;
};

bench_case recovery_case(const std::string& name, machine_cpus cpus, unsigned every,
                         bool heir_waits, std::size_t resident_bytes) {
  return {"recovery/" + name, heir_waits ? "raw EOWNERDEAD" : "raw EOWNERDEAD, consistent", every,
          [=] {
            require_memory(resident_bytes);
            return measurement(
                [=, stage = std::make_shared<recovery_stage>(cpus)](random_source& random) {
                  sample result{};
                  const bool reference_first = (random() & 1) != 0;
                  if (reference_first)
                    result.reference_ns = stage->ask(raw_mutex, heir_waits, resident_bytes);
                  result.subject_ns = stage->ask(outlive_mutex, heir_waits, resident_bytes);
                  if (!reference_first)
                    result.reference_ns = stage->ask(raw_mutex, heir_waits, resident_bytes);
                  return result;
                });
          }};
}

}  // namespace

std::vector<bench_case> recovery_cases(machine_cpus cpus) {
  constexpr std::size_t gibibyte = std::size_t{1} << 30;
  return {
      recovery_case("SIGKILL of the holder to the heir", cpus, 1, true, 0),
      recovery_case("the same, holder with 1 GiB resident", cpus, 20, true, gibibyte),
      recovery_case("lock and unlock after a death, repair included", cpus, 1, false, 0),
  };
}

}  // namespace outlive::testing
