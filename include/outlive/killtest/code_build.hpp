// code_build: whether the code that includes this was compiled with the optimiser.
//
// A store that the optimiser moves, joins with another one, or takes away is seen only in code that
// it has been at. So explore() and run() are told how their caller was built, by a default
// argument, and warn where it was not optimised.
#pragma once

#include <outlive/detail/requirements.hpp>

namespace outlive::killtest {

enum class code_build { optimised, not_optimised };

// Of the translation unit that includes this. A constant of its own in each, hence not inline: they
// may be built in different ways.
#if defined(__OPTIMIZE__)
constexpr code_build this_build = code_build::optimised;
#else
constexpr code_build this_build = code_build::not_optimised;
#endif

}  // namespace outlive::killtest
