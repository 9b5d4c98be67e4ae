// USDT probes: places in the code that bpftrace and perf can watch from outside. Each is one nop in
// a slow path, and an ELF note that says where its arguments are. Without <sys/sdt.h> (Debian:
// systemtap-sdt-dev), or with -Dusdt=disabled, there is nothing.
//
// docs/man/outlive_event.3.scd lists them; a test compares.
#pragma once

#ifdef OUTLIVE_USDT
#define SDT_USE_VARIADIC
#include <sys/sdt.h>
#define OUTLIVE_PROBE(name, ...) STAP_PROBEV(outlive, name, __VA_ARGS__)
#else
#define OUTLIVE_PROBE(name, ...) static_cast<void>(0)
#endif
