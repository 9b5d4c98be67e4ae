// A worker for the tests of the tool's commands, with the shelf of
// docs/examples/repairs_plugin.cpp.
//
//   shelf_worker MODE SEGMENT
//
// MODE: hold   makes the segment, puts a box on the shelf without counting it, says "holding", and
//              waits to be killed
//       free   makes the segment, says "free", and waits to be killed
//       wait   says "waiting" and locks
//       cross  takes "screws", then "nails"; says "crossing" between them, and waits for somebody
//              to have the second one before it locks it
//       crossback  the same the other way round
//       check  exit code 0 if the shelf is free and right, 1 if it is wrong, 4 if it cannot be
//              locked; prints the boxes
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <string_view>

#include <outlive/outlive.hpp>

namespace warehouse {

struct shelf {
  int boxes = 0;
  int counted = 0;
};

}  // namespace warehouse

namespace {

using guarded_shelf = outlive::guarded<warehouse::shelf>;

void say(const char* text) {
  std::puts(text);
  std::fflush(stdout);
}

[[gnu::noinline]] void hold_for_ever(guarded_shelf& shelf) {
  const auto held = shelf.lock();
  ++held->boxes;
  say("holding");
  for (;;) pause();
}

[[gnu::noinline]] int wait_for_the_shelf(guarded_shelf& shelf) {
  say("waiting");
  const auto held = shelf.lock();
  return held->boxes == held->counted ? 0 : 1;
}

[[gnu::noinline]] void cross(guarded_shelf& first, guarded_shelf& second) {
  const auto held = first.lock();
  say("crossing");
  while (second.try_lock()) usleep(1000);
  const auto both = second.lock();
}

int check(guarded_shelf& shelf) {
  std::error_code error;
  const auto held = shelf.lock(error);
  if (error) return say(error.message().c_str()), 4;
  std::printf("%d boxes\n", held->boxes);
  return held->boxes == held->counted ? 0 : 1;
}

int run(std::string_view mode, const char* name) {
  auto segment = outlive::segment::open_or_create(name);
  auto& shelf = segment.find_or_construct<guarded_shelf>("screws", "shelf");
  if (mode == "hold") hold_for_ever(shelf);
  if (mode == "wait") return wait_for_the_shelf(shelf);
  if (mode == "check") return check(shelf);
  if (mode.starts_with("cross")) {
    auto& other = segment.find_or_construct<guarded_shelf>("nails", "shelf");
    mode == "cross" ? cross(shelf, other) : cross(other, shelf);
  }
  say("free");
  for (;;) pause();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 64;
  try {
    return run(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "shelf_worker: %s\n", error.what());
    return 3;
  }
}
