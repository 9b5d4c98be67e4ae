#include "mapping/surroundings.hpp"

#include <cerrno>
#include <cstring>
#include <system_error>

#include "error/failure.hpp"

namespace outlive::detail {

namespace {

constexpr char mounted_whole[] =
    "expected /proc to be mounted (in a chroot, too; and not with subset=pid)";

boot_id own_boot(const std::string& context) {
  int error = 0;
  const boot_id boot = current_boot_id(error);
  if (error == 0) return boot;
  const std::string file = "/proc/sys/kernel/random/boot_id";
  if (error == EMFILE || error == ENFILE) {
    throw std::system_error(
        error, std::generic_category(),
        context + ": found no file descriptor left to read " + file + ", expected one (" +
            (error == EMFILE ? "RLIMIT_NOFILE, ulimit -n" : "fs.file-max") + ")");
  }
  fail(errc::no_proc, context + ": found " + file + " not readable (" +
                          std::generic_category().message(error) + "), " + mounted_whole +
                          ": it shows whether a segment is of this boot of the machine");
}

std::uint64_t own_pid_namespace(const std::string& context) {
  if (const std::uint64_t own = pid_namespace_inode(); own != 0) return own;
  fail(errc::no_proc, context + ": found no /proc/self/ns/pid, " + mounted_whole +
                          ": without it, processes of other PID namespaces are not recognised");
}

}  // namespace

surroundings own_surroundings(const std::string& context) {
  return {own_boot(context), own_pid_namespace(context), time_namespace_inode()};
}

void check_boot(const std::string& context, const segment_constants& constants) {
  const boot_id boot = own_boot(context);
  if (std::memcmp(boot.data(), constants.boot_id, boot.size()) == 0) return;
  fail(errc::damaged, context +
                          ": found a segment of another boot of the machine; the threads that it "
                          "names are gone; expected one of this boot: remove it");
}

void check_namespaces(const std::string& context, const segment_constants& constants) {
  if (const std::uint64_t own = own_pid_namespace(context); own != constants.pid_namespace) {
    fail(errc::wrong_pid_namespace, context + ": found PID namespace " +
                                        std::to_string(constants.pid_namespace) +
                                        ", expected this process's " + std::to_string(own) +
                                        ": thread ids would mean other threads");
  }
  if (const std::uint32_t own = time_namespace_inode(); own != constants.time_namespace) {
    fail(errc::wrong_pid_namespace, context + ": found time namespace " +
                                        std::to_string(constants.time_namespace) +
                                        ", expected this process's " + std::to_string(own) +
                                        ": the start times of threads would differ");
  }
}

}  // namespace outlive::detail
