// transaction_watch: what a transaction tells the kit, so that explore() can name the stores that
// no roll-back would undo.
//
// A transaction saves the old bytes of a range before it changes them, and an heir of a dead holder
// puts them back. A store within the transaction to bytes that it has not saved stays after such a
// death. explore() names each of them in report::unsaved, with its place.
//
// For authors of transactions. The functions do something only in a process whose stores explore()
// logs; elsewhere they cost a look at a variable.
#pragma once

#include <outlive/detail/requirements.hpp>

#include <cstddef>

#include <outlive/detail/export.hpp>

namespace outlive::killtest {

// From now on, until transaction_ends(), the calling thread stores only to what it has saved, as
// far as objects of the segment are concerned; mutexes and outlive's own records do not count. What
// an outer transaction has saved counts in an inner one, and the other way round.
OUTLIVE_API void transaction_begins() noexcept;
// These bytes have been saved, or need not be: those of the transaction's own journal. Bytes
// outside of the segment are ignored.
OUTLIVE_API void transaction_saved(const void* bytes, std::size_t size) noexcept;
// Committed or rolled back. Requires: as many begins before. What was saved is forgotten when the
// outermost one ends.
OUTLIVE_API void transaction_ends() noexcept;

}  // namespace outlive::killtest
