#include "killtest/plain_run.hpp"

#include <cstring>

#include "killtest/acts.hpp"
#include "killtest/private_view.hpp"
#include "killtest/process.hpp"

namespace outlive::killtest::detail {

plain_run::plain_run(const scenario& what, const explore_options& how, segment& seg)
    : size_(seg.size_bytes()), bytes_(static_cast<char*>(map_shared(size_))) {
  shared_text failure;
  const pid_t pid = start_process([&] {
    take_private_view(seg, seg.fd());
    const act victim = act_of_victim(what, how, seg);
    const auto registered = victim.set_up();
    victim.tested();
    std::memcpy(bytes_, base_of(seg), size_);
  }, failure.text());
  const process_end ended = wait_for(pid, how.time_limit);
  if (ended.exited(0)) return;
  fault_ = "the victim, run without a log, ";
  if (ended.in_time) {
    fault_ += ended.threw() ? std::string("threw: ") + failure.text() : to_string(ended);
  } else {
    fault_ += "was not done in " + std::to_string(how.time_limit.count()) + " ms (time_limit)";
  }
}

plain_run::~plain_run() {
  unmap_shared(bytes_, size_);
}

}  // namespace outlive::killtest::detail
