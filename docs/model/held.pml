/* held[] of a thread record (rule U10): what others read there after the thread's death at any step.
 *
 * One thread locks and unlocks LOCKS locks in any order, out of order too, and a signal handler that locks and unlocks comes
 * between any two steps. A reader may look at any moment, since the thread may die at any moment: `reader` looks at
 * the memory of every state.
 *
 * `top` is the thread's own; a reader looks at every place. Place 0 is empty. An entry carries the address at which its lock
 * was taken; here lock k is always taken at address k, and the handler's lock at its own.
 *
 * Asserted: each lock between native lock and native unlock stands in some entry, and no entry that names a lock in
 * hand has another lock's address. Extra entries are allowed.
 */
#ifndef LOCKS
#define LOCKS 3
#endif
#define PLACES (LOCKS + 2)
#define HANDLER (LOCKS + 1)              /* the handler's lock */

byte place[PLACES], address[PLACES];     /* shared memory */
bool in_hand[LOCKS + 2];                 /* ghost: natively locked, by lock */
byte top;                                /* the thread's own */
bool in_handler;
byte signals;

/* push: the place is counted first, then the address, then the entry (a handler goes above) */
inline push(lock, at) {
#ifdef M_COUNT_LAST
  at = top;
  address[at] = lock;
  place[at] = lock;
  top = at + 1;
#else
  at = top;
  top = at + 1;
  address[at] = lock;
  place[at] = lock;
#endif
}
inline pop(lock, at) {
  at = top;
  do
  :: atomic { place[at - 1] != lock -> at-- }
  :: atomic { place[at - 1] == lock -> at--; break }
  od;
  if
  :: at == top - 1
  :: else ->                             /* the last entry moves over the gap; for two stores it is there twice */
#ifdef M_MOVE_BEFORE_COPY
     d_step { move_place = place[top - 1]; move_address = address[top - 1] };
     place[top - 1] = 0;
     address[at] = move_address;
     place[at] = move_place
#elif defined(M_COPY_PLACE_FIRST)
     place[at] = place[top - 1];
     address[at] = address[top - 1]
#else
     address[at] = address[top - 1];
     place[at] = place[top - 1]
#endif
  fi;
#ifdef M_TOP_BEFORE_EMPTY
  top = top - 1;
  place[top] = 0;
#else
  place[top - 1] = 0;
  top = top - 1;
#endif
}

/* One thread: while its handler runs, the rest of it stands still. */
proctype Thread() provided (!in_handler) {
  byte at, k, steps;
#ifdef M_MOVE_BEFORE_COPY
  byte move_place, move_address;
#endif
  do
  :: steps < 6 ->
     steps++;
     if
     :: k = 1
     :: k = 2
#if LOCKS > 2
     :: k = 3
#endif
     fi;
     if
     :: !in_hand[k] -> push(k, at);
        assert(place[at] == k);
        in_hand[k] = true
     :: in_hand[k] ->
#ifdef M_POP_BEFORE_UNLOCK
        pop(k, at);
        in_hand[k] = false
#else
        in_hand[k] = false;
        pop(k, at)
#endif
     fi;
     at = 0
  :: steps >= 6 -> break
  od
}
proctype Handler() {
  byte at;
  do
  :: atomic { signals < 2 -> signals++; in_handler = true };
     push(HANDLER, at);
     in_hand[HANDLER] = true;
     in_hand[HANDLER] = false;
     at = top - 1;
     place[at] = 0;
     top = at;
     atomic { at = 0; in_handler = false }
  :: break
  od
}

#define NAMED(k, i) (place[i] == k)
#if LOCKS == 3
#define ANYWHERE(k) (NAMED(k, 0) || NAMED(k, 1) || NAMED(k, 2) || NAMED(k, 3) || NAMED(k, 4))
#else
#define ANYWHERE(k) (NAMED(k, 0) || NAMED(k, 1) || NAMED(k, 2) || NAMED(k, 3))
#endif
#define TRUE_ADDRESS(i) (place[i] == 0 || !in_hand[place[i]] || address[i] == place[i])

active proctype reader() {
end_of_watch:
  atomic {
    !( (!in_hand[1] || ANYWHERE(1)) && (!in_hand[2] || ANYWHERE(2)) && (!in_hand[LOCKS] || ANYWHERE(LOCKS)) &&
       (!in_hand[HANDLER] || ANYWHERE(HANDLER)) && TRUE_ADDRESS(0) && TRUE_ADDRESS(1) && TRUE_ADDRESS(2) && TRUE_ADDRESS(3)) ->
    assert(false)
  }
}
init { atomic { run Thread(); run Handler() } }
