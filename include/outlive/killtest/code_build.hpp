// code_build: whether the code that includes this header was compiled with optimisation.
//
// An optimiser can move, merge or remove a store. A kill test sees that only in optimised code. So
// explore() and run() receive as a default argument how their caller was built, and warn if it was
// not optimised.
#pragma once

#include <outlive/detail/requirements.hpp>

namespace outlive::killtest {

enum class code_build { optimised, not_optimised };

// For the translation unit that includes this. Not inline: each has a constant of its own, since
// units may be built in different ways.
#if defined(__OPTIMIZE__)
constexpr code_build this_build = code_build::optimised;
#else
constexpr code_build this_build = code_build::not_optimised;
#endif

}  // namespace outlive::killtest
