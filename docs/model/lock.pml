/* The lock protocol of outlive: one lock, its state word, thread records with reuse, spare records, recovery, release of
 * an origin, and death after every access to shared memory.
 *
 * A step of the model is one access to shared memory (or one system call); what a thread computes for itself belongs to
 * the step before it. The state word is one aligned 64-bit word, so that reading it is one step and every transition is
 * one step. A killed thread stops before its next step; then the kernel walks, in two steps: first the native
 * word of the lock, later the liveness mutex of the thread's record (rule U7: the heir can be inside before the record
 * looks dead).
 *
 * Sizes (-D): WORKERS threads at a time, RECORDS ordinary records, SPARES spare ones, DEATHS kills in all, ATTEMPTS
 * callbacks before "not recoverable", ROUNDS operations that a thread does in its life, LOST marks that the kernel may
 * leave out (orphans); RECOVERS=1 makes the first thread a supervisor, which calls recover() and nothing else; FOREIGN=1
 * adds a stray unlock().
 *
 * Mutants (-D): each takes one rule away; spin must find an error in every one of them. run.py lists them with the rule.
 *
 * What is asserted:
 *   missed     nobody enters while an owner's change is unrepaired         needless  no repair runs unless one is due
 *   exclusion  one thread inside                                           names     the report names the right dead owner
 *   attempts   the count in the state is the count of started callbacks              and former heir, or says "unknown"
 *   native     pthread's ENOTRECOVERABLE is never entered                            only where the design allows it
 *   stuck      (spin's own check) no thread waits for ever
 *   pinned     in the end a last thread can claim a record and lock, and no record is pinned any more but as the origin
 *              of an unrepaired lock
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef RECORDS
#define RECORDS 2
#endif
#ifndef SPARES
#define SPARES 1
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef LOST
#define LOST 0
#endif
#ifndef RECOVERS
#define RECOVERS 0
#endif
#ifndef FOREIGN
#define FOREIGN 0
#endif

#define ALL (RECORDS + SPARES)
#define SPARE(i) ((i) >= RECORDS)
#define OWNER_DIED 99 /* FUTEX_OWNER_DIED without a TID */

/* the condition half of the state word */
#define CONSISTENT 0
#define UNREPAIRED 1
#define REPAIRING 2
#define NOT_RECOVERABLE 3

/* ---- shared memory: the lock ---- */
byte word;                       /* native lock word: 0, a TID, or OWNER_DIED */
byte holder, holder_gen;         /* state word, holder half: record index + 1 and its generation; 0: nobody */
byte cond, attempts;             /* state word, condition half */
byte origin, origin_gen;         /*   whose death is being repaired */

/* ---- shared memory: the thread records ---- */
byte live[ALL];                  /* liveness mutex: 0 (free, or its owner died and was marked) or a TID */
byte gen[ALL], tid_of[ALL];      /* generation and identity */
bool held[ALL];                  /* held[] has an entry that names the lock */

/* ---- ghosts: what really happened; no thread looks at them, only the assertions do ---- */
byte inside;                     /* the TID whose user code is, or died, between the two stores of `holder`; 0: none */
byte started;                    /* callbacks started since the last consistent state */
byte last_heir;                  /* who started the last one */
bool origin_released;            /* a claimer took the origin away from an unrepaired lock (rule U3) */
short dead;                      /* bit per TID */
byte next_tid = 1, deaths, lost, running;
bool kill[4];                    /* by process: it has been killed */
byte tid_at[4];                  /* by process: the TID that it bears */
#define LIVES(t) ((tid_at[1] == t && !kill[1]) || (tid_at[2] == t && !kill[2]) || (tid_at[3] == t && !kill[3]))
#define IS_DEAD(t) ((dead >> (t)) & 1)

#define SET_STATE(h, g, c, n, o, og) holder = h; holder_gen = g; cond = c; attempts = n; origin = o; origin_gen = og
#define CLEARED SET_STATE(0, 0, CONSISTENT, 0, 0, 0)

/* An orphan can be adopted: some record that names the lock bears the word's TID, and that thread is dead. Who judges, and
 * what can go wrong when TIDs are reused, is the business of adopt.pml; here adoption is one step. A bare "the TID exists
 * no more" is not enough: the TID may belong to a stranger by now, and then only the record knows better. */
#define WITNESS(i) (held[i] && tid_of[i] == word)
#if SPARES + RECORDS == 1
#define SOME_WITNESS WITNESS(0)
#elif SPARES + RECORDS == 2
#define SOME_WITNESS (WITNESS(0) || WITNESS(1))
#elif SPARES + RECORDS == 3
#define SOME_WITNESS (WITNESS(0) || WITNESS(1) || WITNESS(2))
#else
#define SOME_WITNESS (WITNESS(0) || WITNESS(1) || WITNESS(2) || WITNESS(3))
#endif
#define ORPHAN (word != 0 && word != OWNER_DIED && IS_DEAD(word) && SOME_WITNESS)

/* Is the entry of record i pending? State word first, native word second; the caller has seen the liveness word before. */
#define NAMED_BY_STATE(i) \
  ((holder == i + 1 && holder_gen == gen[i]) || (cond != CONSISTENT && origin == i + 1 && origin_gen == gen[i]))
#ifdef M_NO_WORD_TEST
#define NAMED_BY_WORD(i) false
#else
#define NAMED_BY_WORD(i) (word == tid_of[i] && word != 0)
#endif
inline look(i) {
  if
  :: atomic { !held[i] -> pending = false }
  :: atomic { held[i] -> pending = true };
     if
     :: NAMED_BY_STATE(i)
     :: else -> pending = NAMED_BY_WORD(i)
     fi
  fi
}
#define SPARE_READY(i) (live[i] == 0 && !PENDING(i))
#define SPARE_STALE(i) (live[i] == 0 && PENDING(i))
#define SPARE_UNUSED(i) ((live[i] == 0 || IS_DEAD(live[i])) && !SPARE_READY(i))
#define PENDING(i) (held[i] && (NAMED_BY_STATE(i) || (word == tid_of[i] && word != 0)))

/* The kernel's walk, first half. */
inline mark_word(t) {
  if
  :: word != t
  :: word == t -> word = OWNER_DIED
  :: word == t && lost < LOST -> lost++
  fi
}
/* Second half. Only after it does the thread look dead to tgkill and /proc. */
inline mark_records() {
  do
  :: atomic { i == ALL -> dead = dead | (1 << tid); i = 0; break }
  :: atomic { i < ALL && live[i] != tid -> i++ }
  :: atomic { i < ALL && live[i] == tid -> live[i] = 0; i++ }
  :: atomic { i < ALL && live[i] == tid && lost < LOST -> lost++; i++ }
  od
}
#define FORGET d_step { me = 0; former = 0; i = 0; pending = 0; died = 0; h = 0; hg = 0; c = 0; n = 0; o = 0; og = 0 }

/* What a thread is about: */
#define ENTER 0     /* lock() */
#define RECOVER 1   /* recover(): repairs, but never enters */
#define RELEASE 2   /* takes the origin from an unrepaired lock */

#define WORKER 0      /* what a thread is for */
#define SUPERVISOR 1
#define LAST 2
#define last (job == LAST)
/* The last thread comes when all others are gone, is not killed, and its repair, if it has one, works: what it cannot do,
 * nobody could ever do again. */
proctype Thread(byte job) {
  byte tid, me, former, i, h, hg, c, n, o, og, goal, phase, rounds;
  bool pending, died;
birth:
  atomic { tid = next_tid; next_tid++; tid_at[_pid] = tid; goal = ENTER; phase = 0; rounds = 0 };
  {
    i = 0;
    /* ======== claim a record: test, trylock its liveness mutex, test again, then write (U2) ======== */
claim:
    i = 0;
    do
    :: i == RECORDS -> goto pressure
    :: atomic { i < RECORDS && live[i] != 0 -> i++ }
    :: i < RECORDS && live[i] == 0 ->
       look(i);
#ifdef M_IDENTITY_BEFORE_TEST
       if :: !pending -> tid_of[i] = tid :: else fi;
#endif
       if
       :: atomic { pending -> pending = false; i++ }
       :: atomic { !pending && live[i] != 0 -> i++ }
       :: atomic { !pending && live[i] == 0 -> live[i] = tid };
#ifndef M_NO_SECOND_TEST
          look(i);
          if
          :: atomic { pending -> pending = false; live[i] = 0; i++ }
          :: !pending -> break
          fi
#else
          break
#endif
       fi
    od;
    gen[i] = gen[i] + 1;
    held[i] = false;
    tid_of[i] = tid;
    if
    :: me != 0 -> live[me - 1] = 0                                            /* the spare goes back */
    :: else
    fi;
    atomic { me = i + 1; i = 0; phase = 0 };

    /* ======== what the thread does with its record ======== */
next:
    if
    :: atomic { job != SUPERVISOR -> goal = ENTER }; goto acquire
    :: atomic { job == SUPERVISOR -> goal = RECOVER }; goto scan
#if FOREIGN
    :: job == WORKER -> goto stray_unlock
#endif
    fi;

    /* ======== no record is free: recover with a spare one, look again; take origins away, look again (U3) ======== */
pressure:
#if SPARES == 0
    assert(!last); goto gone;
#else
    if
    :: phase == 0
    :: atomic { phase == 1 && job != SUPERVISOR -> phase = 2; i = 0; goal = RELEASE };
#ifdef M_NO_RELEASE
       atomic { i = 0; goto claim }
#else
       goto scan
#endif
    :: else ->                                                                /* too many threads */
       assert(!last);
       live[me - 1] = 0;
       goto gone
    fi;
    /* A spare record that is pending (its bearer died in a repair) is left to be read while the other one works. When both are
     * pending and nobody works with either, the older is overwritten; its bearer is "unknown" from then on. */
    if
    :: atomic { SPARE_READY(RECORDS) -> live[RECORDS] = tid; i = RECORDS }
#if SPARES == 1
    :: atomic { SPARE_STALE(RECORDS) -> live[RECORDS] = tid; i = RECORDS }
#else
    :: atomic { SPARE_READY(RECORDS + 1) -> live[RECORDS + 1] = tid; i = RECORDS + 1 }
    :: atomic { SPARE_STALE(RECORDS) && SPARE_UNUSED(RECORDS + 1) && tid_of[RECORDS] <= tid_of[RECORDS + 1] ->
         live[RECORDS] = tid; i = RECORDS }
    :: atomic { SPARE_STALE(RECORDS + 1) && SPARE_UNUSED(RECORDS) && tid_of[RECORDS + 1] < tid_of[RECORDS] ->
         live[RECORDS + 1] = tid; i = RECORDS + 1 }
#endif
    fi;
#ifdef M_NAME_BEFORE_GENERATION
    tid_of[i] = tid;
    held[i] = false;
    gen[i] = gen[i] + 1;
#elif defined(M_NO_GENERATION)
    held[i] = false;
    tid_of[i] = tid;
#else
    gen[i] = gen[i] + 1;
    held[i] = false;
    tid_of[i] = tid;
#endif
    atomic { me = i + 1; i = 0; phase = 1; goal = RECOVER };
#endif

    /* ======== recover(): what a dead record has pending goes through the very path of lock() ======== */
scan:
#if SPARES > 0 || RECOVERS
    do
    :: atomic { i == ALL -> i = 0; break }
    :: atomic { i < ALL && (i == me - 1 || (live[i] != 0 && !IS_DEAD(live[i]))) -> i++ }
    :: atomic { i < ALL && i != me - 1 && live[i] != 0 && IS_DEAD(live[i]) -> live[i] = 0 }    /* the liveness word is an orphan */
    :: i < ALL && i != me - 1 && live[i] == 0 ->
       look(i);
       if
       :: pending -> pending = false; goto acquire
       :: atomic { !pending -> i++ }
       fi
    od;
    if
    :: atomic { phase == 0 -> rounds++ }; goto round
    :: atomic { phase != 0 && job == SUPERVISOR -> live[me - 1] = 0; rounds++; me = 0 }; goto gone
    :: else -> goto claim
    fi;
#endif

    /* ======== lock ======== */
acquire:
#ifndef M_PUSH_AFTER_HOLDER
    held[me - 1] = true;                                                      /* held.push */
#endif
native_lock:
    if
    :: atomic { word == 0 || word == OWNER_DIED -> died = (word == OWNER_DIED); word = tid }
    :: atomic { ORPHAN -> word = OWNER_DIED }; goto native_lock               /* found between two slices of the wait */
    :: goal != ENTER && word != 0 && word != OWNER_DIED && !ORPHAN ->         /* scan only tries: a living thread has it */
       goto pop
    fi;
    atomic {
      h = holder; hg = holder_gen; c = cond; n = attempts; o = origin; og = origin_gen;
      assert(word == tid);                                                    /* exclusion */
      if
      :: h == 0 && c == CONSISTENT ->
         /* the owner never was inside, or was out already: native consistent, enter */
#ifdef M_ALWAYS_REPAIR
         assert(!died || inside != 0);                                        /* needless */
#endif
         goto enter
      :: !(h == 0 && c == CONSISTENT) && goal == RELEASE ->
         if
         :: c == UNREPAIRED -> goto release
         :: else -> goto leave                                                /* what it finds instead is left to the next one */
         fi
      :: c == NOT_RECOVERABLE && goal != RELEASE ->
         goto leave
      :: else
      fi;

      /* ======== an owner death ======== */
      if
      :: c == CONSISTENT -> o = h; og = hg; h = 0; hg = 0                     /* the holder is the dead owner */
      :: c == REPAIRING -> assert(h != 0)                                     /* the holder is the former heir */
      :: c == UNREPAIRED
      fi;
      assert(inside != 0);                                                    /* needless */
      assert(!LIVES(inside));                                                 /* exclusion */
      assert(n == started);                                                   /* attempts */
      if
      :: o == 0 -> assert(origin_released)                                    /* names */
      :: else -> assert(gen[o - 1] == og && tid_of[o - 1] == inside)
      fi;
#ifdef M_ASK_LIVENESS
      if :: o != 0 && live[o - 1] != 0 -> goto enter :: else fi;
#endif
      if
      :: h == 0 -> goto decide
      :: h != 0 && !SPARE(h - 1) -> assert(gen[h - 1] == hg && tid_of[h - 1] == last_heir); goto decide
      :: h != 0 && SPARE(h - 1)
      fi
    };
    /* A spare record may be overwritten while it is read: generation, name, generation again; "unknown" if they differ. */
#ifndef M_NAME_WITHOUT_GENERATION
    if :: gen[h - 1] != hg -> goto decide :: else fi;
#endif
    former = tid_of[h - 1];
    if
#ifndef M_NAME_WITHOUT_GENERATION
    :: gen[h - 1] != hg
#endif
    :: else -> assert(former == last_heir)                                    /* names */
    fi;

    /* the repair is looked up before any store (U8) */
decide:
    atomic { former = 0; h = 0; hg = 0 };
#ifdef M_COUNT_LOOKUP
    atomic { SET_STATE(me, gen[me - 1], REPAIRING, n + 1, o, og); n++ };
#endif
    if
    :: atomic { n >= ATTEMPTS -> SET_STATE(0, 0, NOT_RECOVERABLE, n, 0, 0) }; goto leave
    :: atomic { n < ATTEMPTS -> SET_STATE(0, 0, UNREPAIRED, n, o, og) }; goto leave                /* no repair here */
#ifdef M_CONSISTENT_BEFORE_REPAIR
    :: atomic { n < ATTEMPTS -> CLEARED; started++; last_heir = tid }
#elif defined(M_HEIR_UNNAMED)
    :: atomic { n < ATTEMPTS -> SET_STATE(o, og, REPAIRING, n + 1, o, og); started++; last_heir = tid }
#else
    :: atomic { n < ATTEMPTS -> SET_STATE(me, gen[me - 1], REPAIRING, n + 1, o, og); started++; last_heir = tid }
#endif
    fi;
    /* the callback runs here; the heir may die in it, and a child that it forks in it may return from it too (U5) */
#ifdef M_CHILD_STORES
    if :: true -> CLEARED :: true fi;
#endif
    if
    :: atomic { !last && n + 1 >= ATTEMPTS -> SET_STATE(0, 0, NOT_RECOVERABLE, n + 1, 0, 0) }; goto leave
#ifdef M_FORGET_ORIGIN
    :: atomic { !last && n + 1 < ATTEMPTS -> SET_STATE(0, 0, UNREPAIRED, n + 1, 0, 0) }; goto leave
#else
    :: atomic { !last && n + 1 < ATTEMPTS -> SET_STATE(0, 0, UNREPAIRED, n + 1, o, og) }; goto leave
#endif
#ifdef M_TWO_STORES
    :: atomic { cond = CONSISTENT; attempts = 0; origin = 0; origin_gen = 0; started = 0 };
       atomic { holder = 0; holder_gen = 0; inside = 0; last_heir = 0; origin_released = false }
#else
    :: atomic { CLEARED; inside = 0; started = 0; last_heir = 0; origin_released = false }
#endif
    fi;
enter:
    atomic {
      h = 0; hg = 0; c = 0; n = 0; o = 0; og = 0;
      died = false;                                                           /* native consistent */
#ifndef M_RECOVER_ENTERS
      if :: goal != ENTER -> goto leave :: else fi;                           /* recover() stops here */
#endif
      assert(inside == 0);                                                    /* missed, exclusion */
      SET_STATE(me, gen[me - 1], CONSISTENT, 0, 0, 0);
      if :: goal == ENTER -> inside = tid :: else fi
    };
    /* the user's critical section is here */
#ifdef M_PUSH_AFTER_HOLDER
    held[me - 1] = true;
#endif

    /* ======== unlock ======== */
#ifdef M_POP_BEFORE_CLEAR
    held[me - 1] = false;
#endif
    atomic {
      assert(word == tid && holder == me && holder_gen == gen[me - 1] && cond == CONSISTENT);    /* exclusion */
      CLEARED;
      if :: goal == ENTER -> inside = 0 :: else fi
    };
leave:
    /* whenever the lock came as EOWNERDEAD, native consistent precedes native unlock (U8) */
    atomic {
      h = 0; hg = 0; c = 0; n = 0; o = 0; og = 0;
#ifndef M_NO_NATIVE_CONSISTENT
      died = false;
#endif
      assert(!died);                                                          /* native */
      word = 0
    };
pop:
    held[me - 1] = false;                                                     /* held.remove */
    if
    :: atomic { goal != ENTER -> i++ }; goto scan
    :: atomic { goal == ENTER -> rounds++ }
    fi;
round:
    if
    :: rounds < ROUNDS && !last -> goto next
    :: else -> goto gone
    fi;

    /* ======== a claimer takes the dead owner's name away, so that his record gets free (U3) ======== */
release:
    atomic { SET_STATE(0, 0, c, n, 0, 0); origin_released = true };
    goto leave;

#if FOREIGN
    /* ======== unlock() by a thread that does not hold the lock: not_owner, before any store (U1) ======== */
stray_unlock:
#ifdef M_STORE_BEFORE_OWNER_TEST
    atomic { CLEARED };                                                       /* and then the native unlock says EPERM */
#else
    assert(!(holder == me && holder_gen == gen[me - 1]));
#endif
    atomic { rounds++ };
    goto round;
#endif

gone:
    skip
  } unless { kill[_pid] };
  atomic { FORGET; if :: kill[_pid] :: else -> mark_word(tid) fi };           /* an ordinary exit takes the same way as a death */
  mark_records();
  if
  :: atomic { kill[_pid] -> kill[_pid] = false; tid_at[_pid] = 0; tid = 0 }; goto birth       /* a successor takes its place */
  :: atomic { !kill[_pid] -> running--; tid_at[_pid] = 0 }
  fi
}

#define CAN_DIE(p) (!kill[p] && tid_at[p] != 0)

init {
  byte i;
  atomic {
    running = WORKERS;
    run Thread(RECOVERS);
#if WORKERS > 1
    run Thread(WORKER);
#endif
#if WORKERS > 2
    run Thread(WORKER)
#endif
  };
  /* SIGKILL. It strikes between any two steps of its victim; the first half of the walk is part of it, since a victim that
   * is dead but not yet walked is no different, for the others, from one that does not get the processor. */
  do
  :: atomic { deaths < DEATHS && CAN_DIE(1) -> deaths++; kill[1] = true; mark_word(tid_at[1]) }
#if WORKERS > 1
  :: atomic { deaths < DEATHS && CAN_DIE(2) -> deaths++; kill[2] = true; mark_word(tid_at[2]) }
#endif
#if WORKERS > 2
  :: atomic { deaths < DEATHS && CAN_DIE(3) -> deaths++; kill[3] = true; mark_word(tid_at[3]) }
#endif
  :: running == 0 -> break
  od;

  /* everybody is gone. Nobody died inside without leaving a trace: */
  assert(inside == 0 || holder != 0 || cond != CONSISTENT);
  atomic { running = 1; run Thread(LAST) };
  running == 0;
  assert(word == 0);
  assert(holder == 0 && cond != REPAIRING && (cond != CONSISTENT || inside == 0));
  d_step {
    i = 0;
    do
    :: i == ALL -> break
    :: i < ALL -> assert(!PENDING(i) || (cond == UNREPAIRED && origin == i + 1)); i++       /* pinned */
    od
  }
}
