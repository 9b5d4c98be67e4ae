// What liboutlive shows: everything is hidden unless it is marked OUTLIVE_API.
//
// Mark what a caller needs from the library's binary: member and free functions that are defined in
// lib/, and types that are thrown. Templates and inline functions need no mark.
#pragma once

#define OUTLIVE_API __attribute__((visibility("default")))
