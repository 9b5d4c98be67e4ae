#include "killtest/stores/write_guard.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <system_error>

#if defined(__x86_64__)
#include <cpuid.h>

#include "killtest/stores/page_shadow.hpp"
#endif

namespace outlive::killtest::detail {

#if defined(__x86_64__)

namespace {

constexpr greg_t write_fault = 2;  // of the page fault's error code

// The area for extended registers (Intel's manual, volume 1, chapter 13): the offset of its second
// part. The bits of that part's first word say which components are saved. A component whose bit is
// clear has its initial value, whatever its bytes are.
constexpr std::size_t header_offset = 512;
constexpr unsigned pkru_component = 9;
// The kernel writes this into the bytes that are left to software (asm/sigcontext.h) if there is a
// second part.
constexpr std::size_t software_offset = 464;
constexpr std::uint32_t magic = 0x46505853;

std::size_t offset_of_pkru() noexcept {
  unsigned size = 0;
  unsigned offset = 0;
  unsigned flags = 0;
  unsigned unused = 0;
  if (__get_cpuid_count(0xd, pkru_component, &size, &offset, &flags, &unused) == 0 ||
      size < sizeof(std::uint32_t))
    return 0;
  return offset;
}

// PKRU of the interrupted code; nullptr if the frame has no place for it.
std::uint32_t* pkru_in(ucontext_t& context, std::size_t offset) noexcept {
  auto* const area = reinterpret_cast<char*>(context.uc_mcontext.fpregs);
  if (area == nullptr) return nullptr;
  std::uint32_t found = 0;
  std::memcpy(&found, area + software_offset, sizeof found);
  return found == magic ? reinterpret_cast<std::uint32_t*>(area + offset) : nullptr;
}

void set_in(ucontext_t& context, std::size_t offset, int key, std::uint32_t rights) noexcept {
  std::uint32_t* const pkru = pkru_in(context, offset);
  if (pkru == nullptr) ::abort();
  *pkru = (*pkru & ~(std::uint32_t{3} << (2 * key))) | rights << (2 * key);
  // A register that is all zero is not saved, and would not be restored. The value read above is
  // right all the same: while the victim runs, the register is not zero, because our key is closed;
  // and when we have opened it, we have written the zero.
  auto* const area = reinterpret_cast<char*>(context.uc_mcontext.fpregs);
  std::uint64_t components = 0;
  std::memcpy(&components, area + header_offset, sizeof components);
  components |= std::uint64_t{1} << pkru_component;
  std::memcpy(area + header_offset, &components, sizeof components);
}

void allow(int key, unsigned rights) noexcept {
  if (::pkey_set(key, rights) != 0) ::abort();
}

// A descriptor that lets a process write to its private pages that it has protected; -1: none. Its
// number is high: the interrupted code gets the same numbers for its files as without a log.
int open_own_memory() noexcept {
  const int low = ::open("/proc/self/mem", O_RDWR | O_CLOEXEC);
  if (low < 0) return -1;
  int high = ::fcntl(low, F_DUPFD_CLOEXEC, 1000);
  if (high < 0) high = ::fcntl(low, F_DUPFD_CLOEXEC, 200);
  ::close(low);
  return high;
}

void protect(char* at, std::size_t size, int how) noexcept {
  if (::mprotect(at, size, how) != 0) ::abort();
}

}  // namespace

const char* why_no_page_protection() noexcept {
  return nullptr;
}

const char* why_no_protection_keys() noexcept {
  const int key = ::pkey_alloc(0, 0);
  if (key < 0)
    return "pkey_alloc() fails: the processor or the kernel has no protection keys, seccomp "
           "forbids "
           "them, or all are in use";
  ::pkey_free(key);
  return offset_of_pkru() != 0
             ? nullptr
             : "the processor does not report where it saves the register of the protection keys";
}

void write_guard::begin(engine how, char* base, std::size_t size, int shared_with) {
  base_ = base;
  size_ = size;
  if (how != engine::protection_keys) {
    file_begin_ = shared_with < 0 ? reinterpret_cast<std::uintptr_t>(base) : 0;
    file_ = shared_with < 0 ? open_own_memory() : shared_with;
    if (file_ >= 0 && ::fstat(file_, &file_status_) != 0) file_ = -1;
    return;
  }
  register_offset_ = offset_of_pkru();
  key_ = ::pkey_alloc(0, 0);
  if (key_ < 0) throw std::system_error(errno, std::generic_category(), "pkey_alloc");
  if (::pkey_mprotect(base, size, PROT_READ | PROT_WRITE, key_) != 0)
    throw std::system_error(errno, std::generic_category(), "pkey_mprotect");
}

void write_guard::close() noexcept {
  if (key_ >= 0) return allow(key_, PKEY_DISABLE_WRITE);
  protect(base_, size_, PROT_READ);
}

void write_guard::open() noexcept {
  if (key_ >= 0) return allow(key_, 0);
  protect(base_, size_, PROT_READ | PROT_WRITE);
}

void write_guard::enter() const noexcept {
  if (key_ >= 0) allow(key_, 0);
}

bool write_guard::is_inside(const siginfo_t& info) const noexcept {
  const auto* const address = static_cast<const char*>(info.si_addr);
  return info.si_code == (key_ < 0 ? SEGV_ACCERR : SEGV_PKUERR) && address >= base_ &&
         address < base_ + size_;
}

bool write_guard::is_store(const siginfo_t& info, const ucontext_t& context) const noexcept {
  return is_inside(info) && (context.uc_mcontext.gregs[REG_ERR] & write_fault) != 0;
}

bool write_guard::allows_load(const siginfo_t& info, ucontext_t& context) const noexcept {
  if (key_ < 0 || !is_inside(info)) return false;
  set_in(context, register_offset_, key_, PKEY_DISABLE_WRITE);
  return true;
}

bool write_guard::put(char* to, const std::byte* bytes, std::size_t size) noexcept {
  if (key_ >= 0) {
    std::memcpy(to, bytes, size);
    return true;
  }
  if (file_ < 0) return false;
  const auto at = static_cast<off_t>(file_begin_ + static_cast<std::uintptr_t>(to - base_));
  struct stat now {};
  // The interrupted code may have closed all descriptors, and opened files of its own.
  if (::fstat(file_, &now) == 0 && now.st_dev == file_status_.st_dev &&
      now.st_ino == file_status_.st_ino &&
      ::pwrite(file_, bytes, size, at) == static_cast<ssize_t>(size))
    return true;
  file_ = -1;  // the system does not allow it
  return false;
}

void write_guard::let_through(char* page, ucontext_t& context) const noexcept {
  if (key_ >= 0) return set_in(context, register_offset_, key_, 0);
  protect(page, page_bytes, PROT_READ | PROT_WRITE);
}

void write_guard::let_all_through(ucontext_t& context) noexcept {
  open();
  if (key_ >= 0) set_in(context, register_offset_, key_, 0);
}

void write_guard::stop_again(char* page, ucontext_t& context) const noexcept {
  if (key_ >= 0) return set_in(context, register_offset_, key_, PKEY_DISABLE_WRITE);
  protect(page, page_bytes, PROT_READ);
}

#else

const char* why_no_page_protection() noexcept {
  return "write faults are supported on x86-64 only";
}

const char* why_no_protection_keys() noexcept {
  return "write faults are supported on x86-64 only";
}

#endif

}  // namespace outlive::killtest::detail
