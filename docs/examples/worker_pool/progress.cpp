#include "worker_pool/progress.hpp"

#include <unistd.h>

#include <cstdio>
#include <stdexcept>

namespace pool {

namespace {

constexpr std::chrono::milliseconds terminal_interval{100};
constexpr std::chrono::milliseconds log_interval{1000};

}  // namespace

progress::progress(std::uint64_t kills_wanted)
    : kills_wanted_(kills_wanted),
      terminal_(::isatty(STDERR_FILENO) == 1),
      next_(clock::now() + (terminal_ ? terminal_interval : log_interval)),
      last_growth_(clock::now()) {}

progress::~progress() {
  if (shown_ && terminal_) std::fprintf(stderr, "\r%78s\r", "");
}

void progress::show(std::uint64_t kills, std::uint64_t holding, std::uint64_t chunks) {
  const auto now = clock::now();
  if (chunks != last_chunks_) {
    last_chunks_ = chunks;
    last_growth_ = now;
  } else if (now - last_growth_ > stall_limit) {
    throw std::runtime_error("the pool stalls: no chunk was finished for 30 seconds");
  }
  if (now < next_) return;
  next_ = now + (terminal_ ? terminal_interval : log_interval);
  shown_ = true;
  std::fprintf(stderr,
               terminal_ ? "\r%llu of %llu kills, %llu of them holding a lock; %llu chunks merged  "
                         : "%llu of %llu kills, %llu of them holding a lock; %llu chunks merged\n",
               static_cast<unsigned long long>(kills),
               static_cast<unsigned long long>(kills_wanted_),
               static_cast<unsigned long long>(holding), static_cast<unsigned long long>(chunks));
}

}  // namespace pool
