// inspect_death: all that a repair learns about a death. One process dies with two locks, and then
// an heir in the repair.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>

#include <outlive/outlive.hpp>

namespace {

struct page {
  int lines = 0;
};

unsigned long long number(std::uint64_t value) {
  return value;
}

void print(const outlive::owner_death& death) {
  const auto& owner = death.owner();
  std::printf("mutex         %s, of class %s\n", std::string(death.mutex_name()).c_str(),
              std::string(death.lock_class()).c_str());
  std::printf("owner         %s, known: %s\n", to_string(owner).c_str(),
              owner.known ? "yes" : "no");
  std::printf("  pid, tid    %d, %d, started %llu ticks after boot\n", owner.pid, owner.tid,
              number(owner.start_time));
  std::printf("  names       thread %s of command %s\n", owner.thread_name.c_str(),
              owner.command_name.c_str());
  std::printf("  note        %llu\n", number(owner.note));
  std::printf("acquired at   %s\n", death.acquired_at().where().c_str());
  for (std::size_t i = 0; i < death.held_count(); ++i) {
    outlive::held_lock other = death.held(i);
    name_function(other.acquired_at);
    std::printf("also held     %s, acquired at %s\n", other.lock_class.c_str(),
                to_string(other.acquired_at).c_str());
  }
  std::printf("more held     %s\n", death.held_cut() ? "yes" : "no");
  std::printf("attempt       %u of %u\n", death.attempt(), death.max_attempts());
  const auto* heir = death.former_heir();
  std::printf("former heir   %s\n\n", heir != nullptr ? to_string(*heir).c_str() : "none");
  std::fflush(stdout);
}

template <class Function>
pid_t die_in_child(Function function) {
  std::fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) {
    function();
    _exit(1);
  }
  int status = 0;
  const bool killed = pid != -1 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
                      WTERMSIG(status) == SIGKILL;
  return killed ? pid : -1;
}

}  // namespace

int main() {
  auto segment = outlive::segment::anonymous();
  auto& index = segment.find_or_construct<outlive::guarded<page>>("index", "index");
  auto& page_7 = segment.find_or_construct<outlive::guarded<page>>("page 7", "page");
  auto index_repair = outlive::on_owner_death<page>(segment, "index", outlive::always_consistent);

  const pid_t parent = getpid();
  pid_t owner = -1, heir = -1;
  bool good = false;
  auto repair =
      outlive::on_owner_death<page>(segment, "page", [&](page&, const outlive::owner_death& death) {
        print(death);
        if (getpid() != parent) raise(SIGKILL);
        const auto* former = death.former_heir();
        good = death.mutex_name() == "page 7" && death.lock_class() == "page" &&
               death.owner().known && death.owner().pid == owner &&
               death.owner().thread_name == "writer" && death.owner().note == 7 &&
               death.held_count() == 1 && death.held(0).mutex == &index.mutex() &&
               death.attempt() == 2 && former != nullptr && former->pid == heir;
        return outlive::repaired;
      });

  owner = die_in_child([&] {
    prctl(PR_SET_NAME, "writer");  // before its first lock, which records the name
    outlive::note(segment, 7);
    auto first = index.lock();
    auto second = page_7.lock();
    raise(SIGKILL);
  });
  heir = die_in_child([&] { auto never = page_7.lock(); });
  if (owner == -1 || heir == -1) return 1;

  const auto hold = page_7.lock();
  good = good && hold.recovered();
  std::puts(good ? "the report is right" : "FAILED");
  return good ? 0 : 1;
}
