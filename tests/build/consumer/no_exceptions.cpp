// A program that is compiled with -fno-exceptions: it uses the forms with an error code.
#include <outlive/outlive.hpp>
#include <outlive/segment_view.hpp>

#include <cstdio>
#include <system_error>

int main() {
  auto seg = outlive::segment::anonymous();
  auto repair = outlive::on_owner_death<long>(seg, "class", outlive::always_consistent);
  auto& number = seg.find_or_construct<outlive::guarded<long>>("number", "class");
  std::error_code error;
  number.mutex().unlock(error);
  auto x = number.lock();
  *x += 1;
  x.unlock();
  x.lock();
  std::puts(outlive::version());
  return error == outlive::errc::not_owner && *x == 1 ? 0 : 1;
}
