// A program of somebody else's: what the installation test builds against the installed library, in three ways.
//
// It uses a bit of everything that has to be found: templates of the headers, functions of the library, exceptions that it throws.
#include <outlive/outlive.hpp>
#include <outlive/version.hpp>

#include <cstdio>
#include <cstring>
#include <system_error>

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
  const bool good = accounts.lock()->b == 501 && error_is_caught() && std::strcmp(outlive::version(), OUTLIVE_VERSION) == 0;
  std::puts(outlive::version());
  return good ? 0 : 1;
}
