// bank: two unrelated processes, kill -9 in the middle of a transfer, and an account that is right
// again.
//
//   bank              plays both parts below, each in a process that executes this program
//   bank NAME die     transfers money in the bank NAME, and dies half way
//   bank NAME audit   looks at the account; the repair runs first
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>

#include <outlive/outlive.hpp>

namespace {

struct bank {
  long a = 500;
  long b = 500;  // invariant: a + b == 1000
};

int visit(const std::string& name, bool dies) {
  auto segment = outlive::segment::open_or_create(name);
  auto repair = outlive::on_owner_death<bank>(
      segment, "account", [](bank& x, const outlive::owner_death& death) {
        std::printf("%s died with a = %ld, b = %ld\n", to_string(death.owner()).c_str(), x.a, x.b);
        // restartable: it can run twice, and an heir may die before or after it
        x.b = 1000 - x.a;
        return outlive::repaired;
      });
  auto& accounts = segment.find_or_construct<outlive::guarded<bank>>("accounts", "account");

  auto x = accounts.lock();
  std::printf("a = %ld, b = %ld%s\n", x->a, x->b, x.recovered() ? ", after a repair" : "");
  if (dies) {
    std::fflush(stdout);
    x->a -= 1;
    raise(SIGKILL);  // a has changed, b has not
    x->b += 1;
  }
  return x.recovered() && x->a == 499 && x->b == 501 ? 0 : 1;
}

int run(const char* program, const std::string& name, const char* part) {
  std::fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) {
    execlp(program, program, name.c_str(), part, nullptr);
    _exit(127);
  }
  int status = 0;
  return pid == -1 || waitpid(pid, &status, 0) != pid ? -1 : status;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3) return visit(argv[1], std::string(argv[2]) == "die");

  const std::string name = "example.bank." + std::to_string(getpid());
  const int first = run(argv[0], name, "die");
  const int second = run(argv[0], name, "audit");
  outlive::segment::unlink(name);
  const bool good = WIFSIGNALED(first) && WTERMSIG(first) == SIGKILL && WIFEXITED(second) &&
                    WEXITSTATUS(second) == 0;
  std::puts(good ? "the money is all there" : "FAILED");
  return good ? 0 : 1;
}
