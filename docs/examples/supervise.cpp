// supervise: a parent that repairs as soon as a child is dead, and reads in the death log what
// happened.
//
// Without it the next locker would do the repairs. With it, nobody waits for them, and the death is
// reported.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include <outlive/outlive.hpp>

namespace {

struct shelf {
  int boxes = 0;
  int counted = 0;  // invariant: as many as boxes
};

using guarded_shelf = outlive::guarded<shelf>;

[[noreturn]] void fill_and_die(const outlive::segment& segment,
                               std::vector<guarded_shelf*>& shelves) {
  outlive::note(segment, 42);  // for the report: what this process was doing
  std::vector<guarded_shelf::guard> held;
  for (auto* one : shelves) {
    held.push_back(one->lock());
    ++held.back()->boxes;
  }
  raise(SIGKILL);  // nothing is counted, and three shelves are locked
  _exit(1);
}

void print(const outlive::logged_death& death) {
  std::printf(
      "death %llu: %s of class %s; owner pid %d, note %llu, acquired at %s+0x%llx; heir pid %d: "
      "%s\n",
      static_cast<unsigned long long>(death.number), death.mutex_name.c_str(),
      death.lock_class.c_str(), death.owner.pid, static_cast<unsigned long long>(death.owner.note),
      death.acquired_at_module.c_str(), static_cast<unsigned long long>(death.acquired_at_offset),
      death.heir.pid, std::string(to_string(death.outcome)).c_str());
}

}  // namespace

int main() {
  auto segment = outlive::segment::anonymous();
  auto repair =
      outlive::on_owner_death<shelf>(segment, "shelf", [](shelf& x, const outlive::owner_death&) {
        x.counted = x.boxes;
        return outlive::repaired;
      });
  std::vector<guarded_shelf*> shelves;
  for (const char* name : {"screws", "nuts", "bolts"})
    shelves.push_back(&segment.find_or_construct<guarded_shelf>(name, "shelf"));

  const pid_t child = fork();
  if (child == -1) return std::perror("fork"), 1;
  if (child == 0) fill_and_die(segment, shelves);
  int status = 0;
  waitpid(child, &status, 0);  // not before its end: recover() leaves the living alone

  const auto found = outlive::recover(segment, child);
  bool good = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && found.size() == shelves.size();
  for (const auto& one : found) {
    std::printf("recovered %s, which pid %d held: %s\n", one.mutex_name.c_str(), one.pid,
                std::string(to_string(one.outcome)).c_str());
    good = good && one.outcome == outlive::recovery_outcome::repaired && one.pid == child;
  }

  const auto deaths = outlive::death_log(segment);
  good = good && deaths.size() == shelves.size();
  for (const auto& death : deaths) {
    print(death);
    good = good && death.owner.pid == child && death.owner.note == 42 &&
           death.outcome == outlive::death_outcome::repaired;
  }

  for (auto* one : shelves) {
    const auto x = one->lock();
    good = good && !x.recovered() && x->boxes == 1 && x->counted == 1;
  }
  good = good && outlive::recover(segment).empty();
  std::puts(good ? "all shelves are free and right" : "FAILED");
  return good ? 0 : 1;
}
