// What a program must be compiled with to use outlive. Every public header includes this file
// first, so that a program that cannot use the library gets one error instead of a page of them.
//
// The compiler goes on after an #error. Only a missing file ends the compilation: hence the second
// line of each refusal.
#pragma once

#if __cplusplus < 202002L
#error "outlive needs C++20: compile with -std=c++20"
#include <outlive/see_the_error_above>
#endif

// Types in a segment are named by typeid, so that processes can compare them.
#ifndef __cpp_rtti
#error "outlive needs run-time type information: compile without -fno-rtti"
#include <outlive/see_the_error_above>
#endif

#include <version>  // says which standard library this is

// Strings, vectors and functions of the standard library are passed to liboutlive and returned from
// it.
#ifndef __GLIBCXX__
#error "outlive needs libstdc++: compile without -stdlib=libc++"
#include <outlive/see_the_error_above>
#endif

#include <outlive/detail/export.hpp>

// The layout of these classes depends on two macros, which must have the same value in the program
// and in the library. A function's mangled name shows neither its return type nor the members of a
// struct, so a program with another layout would link, and crash. Therefore each file of the
// program refers to a symbol that is named after the program's layout, and the library defines only
// the symbol of its own layout. A program with another layout gets a linker error that names this
// symbol.
#if defined(_GLIBCXX_DEBUG) && _GLIBCXX_USE_CXX11_ABI
#define OUTLIVE_DETAIL_LAYOUT liboutlive_compiled_with_GLIBCXX_DEBUG
#elif defined(_GLIBCXX_DEBUG)
#define OUTLIVE_DETAIL_LAYOUT liboutlive_compiled_with_GLIBCXX_DEBUG_and_GLIBCXX_USE_CXX11_ABI_0
#elif _GLIBCXX_USE_CXX11_ABI
#define OUTLIVE_DETAIL_LAYOUT liboutlive_compiled_with_the_usual_layout
#else
#define OUTLIVE_DETAIL_LAYOUT liboutlive_compiled_with_GLIBCXX_USE_CXX11_ABI_0
#endif

// "used" keeps the reference although nothing reads it; "retain" protects it from the linker's
// --gc-sections.
#if __has_attribute(retain)
#define OUTLIVE_DETAIL_KEPT __attribute__((used, retain))
#else
#define OUTLIVE_DETAIL_KEPT __attribute__((used))
#endif

namespace outlive::detail {

extern OUTLIVE_API const char OUTLIVE_DETAIL_LAYOUT;
OUTLIVE_DETAIL_KEPT inline const char* const layout_of_this_program = &OUTLIVE_DETAIL_LAYOUT;

}  // namespace outlive::detail

#undef OUTLIVE_DETAIL_KEPT
