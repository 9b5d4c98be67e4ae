// plain_store: what an instruction is about to store, if it is one of the common forms of mov.
//
// Such an instruction does nothing but store a register or a constant. So its store can be made for
// it, which takes a third of the time of letting it run: no trap after it, and no page that opens
// and closes. All other instructions are left to the processor.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <optional>

namespace outlive::killtest::detail {

struct plain_store {
  char* to = nullptr;
  std::size_t size = 0;
  std::byte bytes[16] = {};
  std::size_t length = 0;  // of the instruction
};

#if defined(__x86_64__)

// Returns: what the interrupted instruction stores; nullopt if it is of another form.
[[nodiscard]] std::optional<plain_store> plain_store_at(const ucontext_t& context) noexcept;

// Goes on behind the instruction. Requires: what it stores has been stored.
void skip(const plain_store& done, ucontext_t& context) noexcept;

#endif

}  // namespace outlive::killtest::detail
