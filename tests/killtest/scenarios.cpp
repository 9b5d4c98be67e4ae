// A program of scenarios, as users write one: the tests of its command line and of its report files
// run it.
#include <outlive/killtest/main.hpp>

#include "killtest/bank.hpp"

using namespace outlive::killtest;

namespace {

scenario named(std::string name, scenario which) {
  which.name = std::move(name);
  return which;
}

scenario without_stores() {
  scenario made = testing::bank_scenario(&testing::undo_in_order);
  made.victim = [](outlive::segment&) {};
  return made;
}

}  // namespace

int main(int argc, char** argv) {
  return run(argc, argv,
             {
                 named("right", testing::bank_scenario(&testing::undo_in_order)),
                 named("wrong & <crossed>", testing::bank_scenario(&testing::clear_flag_first)),
                 named("nothing", without_stores()),
             });
}
