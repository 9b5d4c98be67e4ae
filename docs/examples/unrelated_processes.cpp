// unrelated_processes: programs that have nothing in common but the name of a segment and the names
// of the objects in it.
//
//   unrelated_processes                   plays the parts below, each in a process that
//                                         executes this program
//   unrelated_processes NAME serve        creates the segment NAME; it is an error if there is one
//   unrelated_processes NAME visit COUNT  opens it and counts its visits; it is an error if
//                                         there is none
//   unrelated_processes NAME drop COUNT   the same, but dies at the last visit, with the mutex held
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <system_error>
#include <vector>

#include <outlive/outlive.hpp>

namespace {

using visits = outlive::guarded<long>;

int play(const std::string& name, const std::string& part, long count) {
  auto segment = part == "serve" ? outlive::segment::create(name) : outlive::segment::open(name);
  // Each process registers its own repair: a function cannot lie in shared memory.
  auto repair = outlive::on_owner_death<long>(segment, "visits", outlive::always_consistent);
  if (part == "serve") {
    segment.find_or_construct<visits>("visits", "visits");
    return 0;
  }
  auto* counter = segment.find<visits>("visits");
  if (counter == nullptr) return 1;
  for (long i = 0; i < count; ++i) {
    auto value = counter->lock();
    if (part == "drop" && i == count - 1) raise(SIGKILL);
    ++*value;
  }
  return 0;
}

pid_t start(const char* program, const std::string& name, const char* part, const char* count) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  execlp(program, program, name.c_str(), part, count, nullptr);
  _exit(127);
}

int status_of(pid_t pid) {
  int status = -1;
  return waitpid(pid, &status, 0) == pid ? status : -1;
}

bool refused(const std::string& name, const char* part, outlive::errc expected) try {
  play(name, part, 0);
  return false;
} catch (const std::system_error& error) {
  std::printf("%s: %s\n", part, error.what());
  return error.code() == expected;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4) return play(argv[1], argv[2], std::stol(argv[3]));

  const std::string name = "example.visits." + std::to_string(getpid());
  bool good = refused(name, "visit", outlive::errc::not_found);
  // its end changes nothing: a named segment stays until unlink()
  good = status_of(start(argv[0], name, "serve", "0")) == 0 && good;
  good = refused(name, "serve", outlive::errc::already_exists) && good;

  const std::vector<pid_t> visitors{start(argv[0], name, "visit", "5000"),
                                    start(argv[0], name, "visit", "7000")};
  const int dropped = status_of(start(argv[0], name, "drop", "1001"));
  good = WIFSIGNALED(dropped) && WTERMSIG(dropped) == SIGKILL && good;
  for (const pid_t pid : visitors) good = status_of(pid) == 0 && good;

  auto segment = outlive::segment::open(name);
  auto repair = outlive::on_owner_death<long>(segment, "visits", outlive::always_consistent);
  const long counted = *segment.find<visits>("visits")->lock();
  outlive::segment::unlink(name);
  std::printf("counted %ld visits of three programs, one of which was killed\n", counted);
  return good && counted == 13000 ? 0 : 1;
}
