// What liboutlive exports: only what is marked OUTLIVE_API.
//
// Mark what a caller needs from the library's binary: functions that are defined in lib/, and types
// that are thrown. Templates and inline functions need no mark.
#pragma once

#define OUTLIVE_API __attribute__((visibility("default")))
