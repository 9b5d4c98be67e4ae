// A program that uses liboutlive-crash.
#include <outlive/crash_recorder.hpp>

int main() {
  const outlive::crash_recorder recorder;
  outlive::crash_recorder::this_thread();
}
