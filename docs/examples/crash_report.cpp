// A worker follows a wild pointer while it holds a lock. Its heir learns which signal killed it,
// and in which function.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <outlive/crash_recorder.hpp>
#include <outlive/outlive.hpp>

namespace {

struct stock {
  long pieces;
  long reserved;
};

[[gnu::noinline]] void reserve(stock& of, volatile long* counter) {
  of.reserved += 1;
  *counter = *counter + 1;  // the caller passed no counter
  of.pieces -= 1;
}

}  // namespace

int main() {
  const outlive::crash_recorder recorder;
  auto seg = outlive::segment::anonymous();
  bool reported = false;
  const auto repair = outlive::on_owner_death<stock>(
      seg, "stock", [&](stock& s, const outlive::owner_death& death) {
        if (death.crash() != nullptr) {
          const outlive::crash_report crash = to_report(*death.crash());
          std::printf("%s died: %s\n", to_string(death.owner()).c_str(), to_string(crash).c_str());
          for (const outlive::stack_frame& frame : crash.frames)
            std::printf("  %s\n", to_string(frame).c_str());
          reported = !crash.frames.empty() &&
                     crash.frames[0].function.find("reserve") != std::string::npos;
        }
        s.reserved = 10 - s.pieces;
        return outlive::repaired;
      });
  auto& goods = seg.find_or_construct<outlive::guarded<stock>>("goods", "stock", stock{10, 0});

  const pid_t worker = fork();
  if (worker == 0) {
    auto held = goods.lock();
    reserve(*held, nullptr);
    _exit(0);
  }
  int status = 0;
  waitpid(worker, &status, 0);

  const auto mended = goods.lock();
  std::printf("%ld pieces, %ld reserved\n", mended->pieces, mended->reserved);
  const bool fine =
      WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV && reported && mended->reserved == 0;
  return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
