/* Adoption of a record's liveness mutex (rules U2, U6, U7), when TIDs are reused.
 *
 * One thread record. D bore TID 1 and is dead; its liveness mutex was marked by the kernel, or left out. L bears TID 1 again
 * and claims the record; so does B, with a TID of its own; A looks for orphans, as recover() does. What nobody may do is to
 * take the liveness mutex from L while L has it but has not yet written who it is: the record then still says "TID 1, with
 * the start time of D". So a word whose TID belongs to a living thread of a process that is attached to the segment is
 * no orphan; a process is attached before it claims.
 *
 * Asserted: the record has one living bearer.
 */
#define D 0
#define L 1
#define A 2
#define B 3
#define TID(t) (t == D || t == L -> 1 : t)

byte live;                  /* liveness word: 0 or a TID */
byte who;                   /* identity in the record: tells TID and start time, so here the thread itself */
bool alive[4];
bool attached[4];           /* its process stands in the table of participants */
byte bearer;                /* ghost: thread + 1 that has claimed the record and lives */
byte adoption;

inline claim(me) {
  if
  :: live != 0                                            /* held, or an orphan: not free */
  :: atomic { live == 0 -> live = TID(me); assert(bearer == 0); bearer = me + 1 };
     who = me;                                            /* identity last */
     assert(live == TID(me) && bearer == me + 1);
     if
     :: atomic { live = 0; bearer = 0 }                   /* gives it back, or ends and is marked */
     :: true                                              /* ends, and the kernel leaves the mark out */
     fi
  fi;
  atomic { alive[me] = false; attached[me] = false; if :: bearer == me + 1 -> bearer = 0 :: else fi }
}

inline judge_and_adopt() {
  atomic { adoption == 0 -> adoption = 1 };
  w = live;
  if
  :: w == 0
  :: else ->
     verdict = (TID(who) == w -> !alive[who] : (w == 1 -> !alive[L] : !alive[w]));
#ifndef M_START_TIME_ALONE
     if
     :: verdict -> verdict = !((w == 1 && alive[L] && attached[L]) || (w == B && alive[B] && attached[B]))
     :: else
     fi;
#endif
     if
     :: verdict -> atomic { if :: live == w -> live = 0 :: else fi }
     :: !verdict
     fi
  fi;
  adoption = 0
}

proctype Claimer(byte me) {
  attached[me] = true;
  claim(me)
}
proctype Adopter() {
  byte w, rounds;
  bool verdict;
  do
  :: rounds < 3 -> judge_and_adopt(); rounds++
  :: break
  od
}
init {
  atomic {
    who = D;
    if :: live = 1 :: live = 0 fi;
    alive[L] = true; alive[B] = true; alive[A] = true;
    run Claimer(L); run Claimer(B); run Adopter(); run Adopter()
  }
}
