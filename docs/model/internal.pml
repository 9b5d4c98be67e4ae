/* Adoption of an orphan among the library's own locks, when TIDs are reused: directory, names, and the adoption mutex itself.
 *
 * One lock. Its holder died and was not marked; it bore TID 1, and L lives and bears TID 1 again. A and B are others. These locks stand in no
 * held[]: a thread names itself in the table of entrants before its native lock, and until after its native unlock, and whoever holds the lock
 * counts its acquisitions. `serial` keeps adopters apart: the adoption mutex, or, where that one is adopted, the word "rescuer".
 *
 * A step is one access to shared memory or one question to the kernel. Asserted: one live thread has the lock; nobody waits for ever (spin's own check).
 *
 * Sizes (-D): DEATHS, LOST (deaths that are not marked), ROUNDS of each thread; TWICE=1 lets TID 1 be borne once more after L's end.
 */
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef LOST
#define LOST 0
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef TWICE
#define TWICE 0
#endif

#define OWNER_DIED 99
#define L 1
#define A 2
#define B 3
#define L2 4  /* bears TID 1 after L (TWICE) */
#define THREADS 5
#define TID(t) (t == L || t == L2 -> 1 : t)

byte word;                    /* native lock word */
bool entrant[THREADS];        /* the table names the thread, at this lock. A dead thread's entry is told by its start time */
byte count;                   /* acquisitions, counted by the holder */
byte serial;                  /* 0 or thread + 1 of the only adopter; the dead are taken over */

bool alive[THREADS], listed[THREADS], kill[THREADS];
byte owner;                   /* ghost: thread + 1 of who has the lock and lives */
byte deaths, lost, twice;

#define NAMED(t) (TID(t) == w && alive[t] && entrant[t])

/* Each place of the table is a step. */
inline look(w) {
#ifdef M_BEARER_DEAD
  skip
#else
  if :: NAMED(L) -> goto judged :: else fi;
  if :: NAMED(L2) -> goto judged :: else fi;
  if :: NAMED(A) || NAMED(B) -> goto judged :: else fi
#endif
}
inline judge(w) {
  if
  :: w == TID(me) -> verdict = true; goto judged                       /* EDEADLK, and it is outside */
  :: else
  fi;
  counted = count;
  look(w);
#ifndef M_NO_SECOND_LOOK
  if :: word != w -> goto judged :: else fi;
  look(w);
#endif
#ifndef M_COUNT_UNREAD
  if :: counted != count -> goto judged :: else fi;
#endif
  verdict = true;
judged:
  counted = 0
}
#define LASTING_ORPHAN (word != 0 && word != OWNER_DIED && owner == 0)

proctype Thread(byte me) {
  byte w, rounds, looks, counted;
  bool verdict;
  {
    looks = 0;
lock:
#ifndef M_NAMED_LATE
    entrant[me] = true;
#endif
native_lock:
    if
    :: atomic { word == 0 || word == OWNER_DIED -> word = TID(me); listed[me] = true; assert(owner == 0); owner = me + 1 }
    :: atomic { word == TID(me) -> listed[me] = true };                /* EDEADLK: list_op_pending is set for a moment */
       listed[me] = false;
       goto adopt
    :: atomic { word != 0 && word != OWNER_DIED && word != TID(me) && looks < 2 -> looks++ }; goto adopt   /* a slice has ended */
    :: LASTING_ORPHAN && word != TID(me) && looks >= 2 -> goto adopt
    fi;
#ifdef M_NAMED_LATE
    entrant[me] = true;
#endif
    assert(word == TID(me));
    atomic { assert(word == TID(me)); count++ };
#ifdef M_UNNAMED_EARLY
    entrant[me] = false;
#endif
    atomic { assert(word == TID(me) && owner == me + 1); word = 0; listed[me] = false; owner = 0 };
    entrant[me] = false;
    atomic { looks = 0; rounds++ };
    if
    :: rounds < ROUNDS -> goto lock
    :: else -> goto gone
    fi;

adopt:
#ifndef M_SEVERAL_ADOPTERS
    atomic { serial == 0 || !alive[serial - 1] -> serial = me + 1 };
#endif
    w = word;
    if
    :: w == 0 || w == OWNER_DIED
    :: else ->
       judge(w);
       if
       :: !verdict
       :: verdict -> atomic { if :: word == w -> word = OWNER_DIED :: else fi }
       fi
    fi;
    atomic { w = 0; verdict = false };
#ifndef M_SEVERAL_ADOPTERS
    serial = 0;
#endif
    goto native_lock;
gone:
    skip
  } unless { kill[me] };
  atomic {                                                             /* death, or the thread's end */
    w = 0; counted = 0; verdict = false; looks = 0; rounds = 0;
    if :: owner == me + 1 -> owner = 0 :: else fi;
    if
    :: !(listed[me] && word == TID(me))
    :: listed[me] && word == TID(me) -> word = OWNER_DIED
    :: listed[me] && word == TID(me) && lost < LOST -> lost++
    fi;
    listed[me] = false;
    alive[me] = false; entrant[me] = false; kill[me] = false
  }
}

init {
  atomic {
    if :: word = 1 :: word = OWNER_DIED :: word = 0 fi;
    alive[L] = true; alive[A] = true; alive[B] = true;
    run Thread(L); run Thread(A); run Thread(B)
  };
  do
  :: atomic { deaths < DEATHS && alive[L] && !kill[L] -> deaths++; kill[L] = true }
  :: atomic { deaths < DEATHS && alive[A] && !kill[A] -> deaths++; kill[A] = true }
#if TWICE
  :: atomic { !alive[L] && twice < TWICE -> twice++; alive[L2] = true; run Thread(L2) }
#endif
  :: !alive[L] && !alive[A] && !alive[B] && !alive[L2] -> break
  od;
  assert(owner == 0)
}
