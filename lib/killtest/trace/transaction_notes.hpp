// transaction_notes: what the transactions of the traced process say of themselves
// (<outlive/killtest/transaction_watch.hpp>) goes into its log.
#pragma once

#include <cstddef>

#include "killtest/stores/store_log.hpp"

namespace outlive::killtest::detail {

// From now on, in the calling process. `log` must live as long as the process.
void note_transactions(store_log& log, const char* base, std::size_t size) noexcept;

}  // namespace outlive::killtest::detail
