#include "killtest/trace/plain_run.hpp"

#include <cstring>

#include "killtest/process/child_process.hpp"
#include "killtest/state/private_view.hpp"

namespace outlive::killtest::detail {

plain_run::plain_run(segment& seg, const workload& what, const std::string& who,
                     std::chrono::milliseconds limit)
    : size_(seg.size_bytes()), bytes_(static_cast<char*>(map_shared(size_))) {
  shared_text failure;
  const pid_t pid = start_process(
      [&] {
        map_private_view(seg, seg.fd());
        const auto registered = what.set_up();
        what.tested();
        std::memcpy(bytes_, base_of(seg), size_);
      },
      failure.text());
  const process_end ended = wait_for(pid, limit);
  if (ended.exited(0)) return;
  fault_ =
      who + ", run without a log, " +
      (ended.in_time ? to_string(ended, failure.text())
                     : "was not done in " + std::to_string(limit.count()) + " ms (time_limit)");
}

plain_run::~plain_run() {
  unmap_shared(bytes_, size_);
}

}  // namespace outlive::killtest::detail
