#include "sys/signals.hpp"

#include <signal.h>
#include <string.h>

#include <algorithm>
#include <array>

namespace outlive::detail {

namespace {

struct meaning {
  int number;
  int code;
  std::string_view text;
};

constexpr std::array meanings{
    meaning{SIGSEGV, SEGV_MAPERR, "address not mapped"},
    meaning{SIGSEGV, SEGV_ACCERR, "access not permitted"},
    meaning{SIGSEGV, SEGV_BNDERR, "bounds check"},
    meaning{SIGSEGV, SEGV_PKUERR, "protection key"},
    meaning{SIGSEGV, SI_KERNEL, "no address reported"},
    meaning{SIGBUS, BUS_ADRALN, "misaligned address"},
    meaning{SIGBUS, BUS_ADRERR, "no memory behind the address"},
    meaning{SIGBUS, BUS_OBJERR, "hardware error"},
    meaning{SIGILL, ILL_ILLOPC, "illegal opcode"},
    meaning{SIGILL, ILL_ILLOPN, "illegal operand"},
    meaning{SIGILL, ILL_ILLADR, "illegal addressing mode"},
    meaning{SIGILL, ILL_ILLTRP, "illegal trap"},
    meaning{SIGILL, ILL_PRVOPC, "privileged opcode"},
    meaning{SIGFPE, FPE_INTDIV, "integer division by zero"},
    meaning{SIGFPE, FPE_INTOVF, "integer overflow"},
    meaning{SIGFPE, FPE_FLTDIV, "division by zero"},
    meaning{SIGFPE, FPE_FLTOVF, "overflow"},
    meaning{SIGFPE, FPE_FLTUND, "underflow"},
    meaning{SIGFPE, FPE_FLTRES, "inexact result"},
    meaning{SIGFPE, FPE_FLTINV, "invalid operation"},
};

}  // namespace

std::string signal_name(int number) {
  const char* const name = ::sigabbrev_np(number);
  return name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(number);
}

std::string_view signal_code_text(int number, int code) noexcept {
  const auto found = std::find_if(meanings.begin(), meanings.end(), [&](const meaning& each) {
    return each.number == number && each.code == code;
  });
  if (found != meanings.end()) return found->text;
  if (code == SI_TKILL) return "raised by the process itself";
  return code <= 0 ? "sent by a process" : std::string_view{};
}

bool has_fault_address(int number, int code) noexcept {
  const bool is_fault =
      number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE;
  return is_fault && code > 0 && code != SI_KERNEL;
}

}  // namespace outlive::detail
