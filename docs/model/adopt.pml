/* Adoption of orphans (rule U6): a lock whose owner is dead, but which the kernel did not mark, when TIDs are reused.
 *
 * One lock, and threads with a record each: D, dead from the start, bore TID 1; L lives and bears TID 1 again; A and B are
 * ordinary lockers with TIDs of their own, who look for an orphan between the slices of their waits. What D left behind is
 * chosen first: see `init`. Everyone but D may be killed (DEATHS), and the kernel may leave the mark out (LOST).
 *
 * A step is one access to shared memory or one question to the kernel. Records are not reused here (lock.pml does that).
 *
 * MOVES=1: in its first round L has two other locks in hand, and may unlock them while it has this one. Then the entry of this lock moves to a
 * lower place of L's held[], where it stands before it goes from the higher one. Whoever judges looks at the places one by one, from the top down.
 *
 * Asserted: one live thread inside; nobody enters while an owner's change is unrepaired; lock() never tells a thread that
 * it holds what it does not hold; nobody waits for ever (spin's own check).
 *
 * Sizes (-D): DEATHS, LOST, ROUNDS of each thread; HIDDEN=1 lets hidepid hide L from A and B; TWICE=1 lets TID 1 be borne once
 * more after L's end. TWICE with DEATHS is a known limit of the protocol, and spin finds it.
 */
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef LOST
#define LOST 0
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef HIDDEN
#define HIDDEN 0
#endif
#ifndef TWICE
#define TWICE 0
#endif
#ifndef MOVES
#define MOVES 0
#endif

#define OWNER_DIED 99
#define D 0   /* a thread is known by its record: */
#define L 1
#define A 2
#define B 3
#define L2 4  /* bears TID 1 after L (TWICE) */
#define THREADS 5
#define TID(t) (t == D || t == L || t == L2 -> 1 : t)

byte word;                    /* native lock word */
byte holder;                  /* the holder half of the state word: record + 1. An heir that repairs is a holder like others here */
bool held[THREADS];           /* the record's held[] names the lock: written before the native lock, removed after the unlock */
#if MOVES
bool middle, top;             /* the same in L's places above the lowest, which is `held` */
#else
#define middle false
#define top false
#endif
bool record[THREADS];         /* the record tells of its thread: from before its first lock, as long as anything is pending */
byte count[THREADS];          /* acquisitions: changes between any push and its remove */
byte adoption;                /* the robust adoption mutex of the segment: 0 or record + 1; the dead are taken over */

/* the kernel's view */
bool alive[THREADS];
bool listed[THREADS];         /* the lock is on the thread's robust list, or its list_op_pending */
bool unseen;                  /* /proc does not show L to others */

/* ghosts */
byte inside;                  /* record + 1 of who is, or died, inside */
byte owner;                   /* record + 1 of who has the native lock and lives */
byte deaths, lost, twice;
bool kill[THREADS];

/* What the system says of TID w. tgkill alone tells dead from alive; the start time tells one bearer from the next. */
#define EXISTS(w) ((w == 1 -> alive[L] || alive[L2] : alive[w]))
#define SAME_BEARER(t) alive[t]

/* ======== the judgement: is the word w, which the caller read, the word of a dead thread? ========
 * Witness: a record that bears the TID w and names the lock, and whose thread is gone (another start time, or nobody).
 * Living bearer: a record that bears the TID w and whose thread lives. If it names the lock, its thread may have it lawfully, as
 * owner or as an heir that has not yet stored its name (and if not, it is told EDEADLK, and adopts itself): no orphan. If it
 * does not name the lock, its thread does not have it, since the entry is there before the native lock.
 * That must be true at one moment with the word: between two looks at the living bearers, which must see the same count of
 * acquisitions, the word is read again. Then it was not theirs in between, and an orphan stays one: only adoption ends it. */
#define SEEN(t) ((t + 1) * 16 + count[t])                               /* who, and how many acquisitions */
#ifdef M_SCAN_UPWARDS
#define FIRST_PLACE held[L]
#define LAST_PLACE top
#else
#define FIRST_PLACE top
#define LAST_PLACE held[L]
#endif
/* L's places but the last one, each a step; the count is read before them, and once more with the last. */
inline scan_places(sum) {
  atomic { if :: FIRST_PLACE -> verdict = false; goto judged :: else -> sum = sum + count[L] fi };
  atomic { if :: middle -> verdict = false; goto judged :: else fi }
}
inline scan_bearers(w, sum) {
  s = 0;
  do
  :: s == THREADS -> break
  :: atomic { s < THREADS && (TID(s) != w || s == me) -> s++ }
  :: s < THREADS && TID(s) == w && s != me ->
     if
     :: atomic { !record[s] -> s++ }
     :: atomic { record[s] && !SAME_BEARER(s) -> if :: held[s] -> verdict = true :: else fi; s++ }
#ifdef M_BEARER_IGNORED
     :: atomic { record[s] && SAME_BEARER(s) -> sum = sum + SEEN(s); s++ }
#else
#if MOVES
     :: record[s] && SAME_BEARER(s) && s == L -> scan_places(sum);
        atomic { if :: LAST_PLACE -> verdict = false; goto judged :: else -> sum = sum + SEEN(L); s++ fi }
#endif
     :: atomic { record[s] && SAME_BEARER(s) && !(MOVES && s == L) && held[s] -> verdict = false }; goto judged
     :: atomic { record[s] && SAME_BEARER(s) && !(MOVES && s == L) && !held[s] -> sum = sum + SEEN(s); s++ }
#endif
     fi
  od
}
inline judge(w) {
  verdict = false;
#ifdef M_HOLDER_FIRST
  s = holder;
  if
  :: s != 0 && TID(s - 1) == w -> verdict = !SAME_BEARER(s - 1); goto judged
  :: else
  fi;
#endif
#ifdef M_ABSENT_IS_DEAD
  if :: unseen && w == 1 && me != L && me != L2 -> verdict = true; goto judged :: else fi;
#endif
  scan_bearers(w, first);
  if
  :: !verdict && w != TID(me) -> verdict = !EXISTS(w)                  /* no witness: only a TID that nobody bears is dead */
  :: verdict && unseen && w == 1 && me != L && me != L2 -> verdict = !EXISTS(w)   /* its start time cannot be read */
  :: else
  fi;
#ifndef M_ONE_LOOK
  if
  :: !verdict -> goto judged
  :: else
  fi;
  if
  :: word != w -> verdict = false; goto judged
  :: else
  fi;
  s = THREADS;
  again = 0;
  do
  :: s == 0 -> break
  :: atomic { s > 0 && (TID(s - 1) != w || s - 1 == me || !record[s - 1] || !SAME_BEARER(s - 1)) -> s-- }
#if MOVES
  :: s - 1 == L && TID(L) == w && L != me && record[L] && SAME_BEARER(L) -> scan_places(again);
     atomic { if :: LAST_PLACE -> verdict = false; goto judged :: else -> again = again + SEEN(L); s-- fi }
#endif
  :: atomic { s > 0 && TID(s - 1) == w && s - 1 != me && !(MOVES && s - 1 == L) && record[s - 1] && SAME_BEARER(s - 1) ->
       if
#ifndef M_BEARER_IGNORED
       :: held[s - 1] -> verdict = false
#endif
       :: else -> again = again + SEEN(s - 1)
       fi;
       s-- }
  od;
#ifndef M_NO_COUNT
  if
  :: first != again -> verdict = false
  :: else
  fi;
#endif
#endif
judged:
  atomic { s = 0; first = 0; again = 0 }
}
/* The same, seen at one instant: whoever waits may always find it when it lasts. */
#define WITNESS(t) (record[t] && held[t] && !alive[t] && TID(t) == word)
#define BEARER(t) (record[t] && (held[t] || (t == L && (middle || top))) && alive[t] && TID(t) == word)
#define LASTING_ORPHAN (word != 0 && word != OWNER_DIED && \
   !(BEARER(L) || BEARER(A) || BEARER(B) || BEARER(L2)) && \
   (!EXISTS(word) || (!unseen && (WITNESS(D) || WITNESS(L) || WITNESS(A) || WITNESS(B)))))

proctype Thread(byte me) {
  byte w, s, rounds, looks, first, again;
  bool died, verdict;
  {
    record[me] = true;
lock:
#if MOVES
    if
    :: me == L && rounds == 0 -> top = true                            /* held.push */
    :: else -> held[me] = true
    fi;
#else
    held[me] = true;                                                   /* held.push */
#endif
native_lock:
    if
    :: atomic { word == 0 || word == OWNER_DIED ->
         died = (word == OWNER_DIED); word = TID(me); listed[me] = true;
         assert(owner == 0); owner = me + 1 }                          /* one live owner */
    :: atomic { word == TID(me) -> listed[me] = true };                /* EDEADLK: list_op_pending is set for a moment */
       listed[me] = false;
#ifdef M_TRUST_EDEADLK
       assert(false);                                                  /* "you hold it already", but it does not */
#endif
       goto adopt
    :: atomic { word != 0 && word != OWNER_DIED && word != TID(me) && looks < 2 -> looks++ }; goto adopt   /* a slice has ended */
    :: LASTING_ORPHAN && word != TID(me) && looks >= 2 -> goto adopt
    fi;
    s = holder;
    assert(word == TID(me));
    if
    :: s == 0 -> assert(inside == 0)                                   /* missed */
    :: s != 0 ->
       s = 0;                                                          /* looks its repair up */
       assert(word == TID(me));
       holder = me + 1;                                                /* {me, repairing} */
       assert(word == TID(me));
       atomic { holder = 0; inside = 0 }
    fi;
    atomic { s = 0; died = false };
    atomic { holder = me + 1; inside = me + 1 };
    atomic { assert(word == TID(me)); count[me]++ };                   /* nobody took it away */
#if MOVES
    if
    :: me == L && top -> middle = true; top = false                    /* unlocks another one, out of order */
    :: me == L && top -> held[me] = true; top = false
    :: true
    fi;
    if
    :: me == L && middle -> held[me] = true; middle = false
    :: true
    fi;
    assert(word == TID(me));
#endif
    atomic { holder = 0; inside = 0 };
    atomic { assert(word == TID(me) && owner == me + 1); word = 0; listed[me] = false; owner = 0 };
#if MOVES
    if
    :: me == L && top -> top = false                                   /* held.remove */
    :: me == L && middle -> middle = false
    :: else -> held[me] = false
    fi;
#else
    held[me] = false;                                                  /* held.remove */
#endif
    atomic { looks = 0; rounds++ };
    if
    :: rounds < ROUNDS -> goto lock
    :: else -> goto gone
    fi;

adopt:
#ifndef M_NO_ADOPTION_MUTEX
    atomic { adoption == 0 || !alive[adoption - 1] -> adoption = me + 1 };
#endif
    w = word;
    if
    :: w == 0 || w == OWNER_DIED
    :: else ->
       judge(w);
       if
       :: !verdict
#ifdef M_STORE
       :: verdict -> atomic { word = OWNER_DIED }
#else
       :: verdict -> atomic { if :: word == w -> word = OWNER_DIED :: else fi }
#endif
       fi
    fi;
    atomic { w = 0; verdict = false };
#ifndef M_NO_ADOPTION_MUTEX
    adoption = 0;
#endif
    goto native_lock;

gone:
    skip
  } unless { kill[me] };
  /* death, or the thread's end */
  atomic {
    w = 0; s = 0; first = 0; again = 0; died = false; verdict = false; looks = 0; rounds = 0;
    if :: owner == me + 1 -> owner = 0 :: else fi;
    if
    :: !(listed[me] && word == TID(me))
    :: listed[me] && word == TID(me) -> word = OWNER_DIED
    :: listed[me] && word == TID(me) && lost < LOST -> lost++
    fi;
    listed[me] = false
  };
  atomic {
    alive[me] = false;
    if :: !held[me] -> record[me] = false :: else fi;                  /* a record with nothing pending means nothing any more */
    kill[me] = false
  }
}

init {
  atomic {
    record[D] = true; held[D] = true;
    if
    :: word = 1; holder = D + 1; inside = D + 1            /* died inside, not marked */
    :: word = 1                                            /* died between native lock and the store of holder, not marked */
    :: word = OWNER_DIED; holder = D + 1; inside = D + 1   /* died inside, marked */
    :: word = OWNER_DIED                                   /* died before the store, marked */
    :: word = 0                                            /* died waiting */
    fi;
#if HIDDEN
    if :: unseen = true :: true fi;
#endif
    alive[L] = true; alive[A] = true; alive[B] = true;
    run Thread(L); run Thread(A); run Thread(B)
  };
  do
  :: atomic { deaths < DEATHS && alive[L] && !kill[L] -> deaths++; kill[L] = true }
  :: atomic { deaths < DEATHS && alive[A] && !kill[A] -> deaths++; kill[A] = true }
  :: atomic { deaths < DEATHS && alive[B] && !kill[B] -> deaths++; kill[B] = true }
#if TWICE
  :: atomic { !alive[L] && twice < TWICE -> twice++; alive[L2] = true; run Thread(L2) }
#endif
  :: !alive[L] && !alive[A] && !alive[B] && !alive[L2] -> break
  od;
  assert(owner == 0)
}
