// A program of somebody else's: what the installation test builds against the installed library, in
// several ways.
//
// It uses a bit of everything that has to be found: templates of the headers, functions of the
// library, exceptions that it throws; and of what is made while the library is loaded, which a
// static library could lose.
#include <outlive/outlive.hpp>
#include <outlive/version.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <thread>

namespace {

struct bank {
  long a = 500;
  long b = 500;
};

bool error_is_caught() {
  try {
    const auto impossible = outlive::segment::open("a/slash");
  } catch (const std::system_error& error) {
    return error.code() == outlive::errc::invalid_name;
  }
  return false;
}

// A forked child gets a record of its own, its death is noticed, and a thread that ends gives its
// record back.
bool death_is_repaired(outlive::segment& seg, outlive::guarded<bank>& accounts) {
  bool found = false;
  std::thread([&] {
    { auto x = accounts.lock(); }
    if (::fork() == 0) {
      auto x = accounts.lock();
      x->a -= 1;
      std::raise(SIGKILL);
    }
    ::wait(nullptr);
    for (const auto& line : outlive::recover(seg))
      found = found || (line.mutex_name == "accounts" &&
                        line.outcome == outlive::recovery_outcome::repaired);
  }).join();
  return found && accounts.lock()->a == 498;
}

}  // namespace

int main() {
  auto seg = outlive::segment::anonymous();
  auto repair = outlive::on_owner_death<bank>(seg, "account", outlive::always_consistent);
  auto& accounts = seg.find_or_construct<outlive::guarded<bank>>("accounts", "account");
  {
    auto x = accounts.lock();
    x->a -= 1;
    x->b += 1;
  }
  // by itself: its guard lives to the end of the expression
  const bool moved = accounts.lock()->b == 501;
  const bool good = moved && error_is_caught() && death_is_repaired(seg, accounts) &&
                    std::strcmp(outlive::version(), OUTLIVE_VERSION) == 0;
  std::puts(outlive::version());
  return good ? 0 : 1;
}
