// Where a run took place, and how busy the machine was with other things: without these a figure
// means nothing to anybody else.
#include <gnu/libc-version.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <boost/version.hpp>
#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include <outlive/version.hpp>

#include "bench/harness.hpp"
#include "bench/processes.hpp"
#include "bench/report.hpp"

namespace outlive::testing {

namespace {

std::string cpu_field(const std::string& key) {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.compare(0, key.size(), key) == 0 && line.find(':') != std::string::npos)
      return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

// Seconds that all CPUs together were not idle, since boot; what the host took away (steal) counts.
double busy_seconds() {
  std::ifstream stat("/proc/stat");
  std::string cpu;
  double user = 0, nice = 0, system = 0, idle = 0, waiting = 0, interrupts = 0, soft = 0, steal = 0;
  stat >> cpu >> user >> nice >> system >> idle >> waiting >> interrupts >> soft >> steal;
  return (user + nice + system + interrupts + soft + steal) /
         static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double own_seconds() {
  double seconds = 0;
  for (const auto who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage used{};
    ::getrusage(who, &used);
    for (const auto& time : {used.ru_utime, used.ru_stime})
      seconds += static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  }
  return seconds;
}

}  // namespace

double foreign_load() {
  static const double began = static_cast<double>(now_ns()) / 1e9, busy = busy_seconds(),
                      own = own_seconds();
  const double passed = (static_cast<double>(now_ns()) / 1e9 - began) *
                        static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
  return passed <= 0 ? 0
                     : std::max(0.0, ((busy_seconds() - busy) - (own_seconds() - own)) / passed);
}

nlohmann::json surroundings() {
  utsname system{};
  ::uname(&system);
  return {
      {"outlive", OUTLIVE_VERSION},
      {"cpu", cpu_field("model name")},
      {"cpu_family", cpu_field("cpu family")},
      {"cpu_model", cpu_field("model\t")},
      {"cpus", cpu_count()},
      {"kernel", system.release},
      {"libc", std::string("glibc ") + ::gnu_get_libc_version()},
#ifdef __clang__
      {"compiler", __VERSION__},
#else
      {"compiler", "gcc " __VERSION__},
#endif
      {"boost", BOOST_LIB_VERSION},
  };
}

}  // namespace outlive::testing
