// What liboutlive shows: everything is hidden unless it is marked OUTLIVE_API.
//
// Mark classes whose members live in the library, free functions, and types that are thrown. Templates need no mark.
#ifndef OUTLIVE_EXPORT_HPP
#define OUTLIVE_EXPORT_HPP

#define OUTLIVE_API __attribute__((visibility("default")))

#endif
