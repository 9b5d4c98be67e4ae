#include "companions/handing.hpp"

#include <string>

#include <outlive/error.hpp>

#include "companions/holder.hpp"
#include "error/failure.hpp"

namespace outlive::detail {

std::shared_ptr<handing> handing_of(attachment& giver) {
  if (giver.handing == nullptr) {
    giver.handing =
        std::make_shared<handing>(giver.map, *giver.record, giver.name & generation_bits);
  }
  return std::static_pointer_cast<handing>(giver.handing);
}

attachment& attach_taker(const void* object, const char* what, const handing& by) {
  if (!by.is_this_process()) {
    fail(errc::not_owner, std::string(what) +
                              ": found a forked child, expected the process in which it was handed "
                              "over");
  }
  return *attach_caller(object, what, no_limit);
}

}  // namespace outlive::detail
