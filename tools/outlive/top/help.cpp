#include "top/help.hpp"

namespace top {

std::vector<std::string> help_lines() {
  return {
      "q quit         space look now   p processes or threads   ? this help",
      "s sorted by waiters, time held, rate, name",
      "/ show only lines with a text: enter keeps it, escape drops it",
      "tab            choose threads, mutexes, queues or permits to scroll",
      "arrows, page up and down, home, end   scroll",
      "",
      "First lines    rates of the threads that are there; deaths that were met",
      "ACQUIRED/S     mutexes acquired a second      WAITED/S  waited for",
      "HOLDS          mutexes in its hands           WAITING   1: it waits for a mutex",
      "",
      "WAITERS        threads that wait for the mutex",
      "HELD >=        how long its holder was seen with it, acquiring no other mutex",
      "ACQUIRED AT    the code that acquired it",
      "(dead)         a thread that died with it: the next locker repairs",
      "",
      "WAITING, LEASED, DEAD LETTERS   jobs in a queue; a dead worker's job waits",
      "LEASED >=      how long the oldest lease was seen with its worker",
      "OF THE DEAD    permits whose holder is dead: they are free",
      "",
      "Any key goes on.",
  };
}

}  // namespace top
