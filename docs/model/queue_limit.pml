/* Leases with a time limit: docs/protocol.md, "Leases with a time limit".
    lib/companions/lease_limit.cpp, job_lease.cpp, queue_consumer.cpp.

    NC consumers and one slot, into which NJ jobs are put one after the other. The state of the slot
    is one word: kind, tries n, and the life of a thread who. It has no lap here, so that the same
    word comes again as soon as it can. The time of the slot is a second word: a running clock, with
    the tries and the point in time of its lease; or a claim, with the tries and the claimer; or
    none. A point in time is a number of its own for each clock that is started. A clock runs out at
    any time. A holder may go on at any time, too: a lease that is over is one whose holder did not
    move for long. Threads die anywhere, MAXD times in all, and go on as other lives. A holder may
    hang until its job is another's, and then tries to end its lease. With HAND it hands its lease
    over, and lives on: any thread takes it, or lets it end. A claimer reads the state when it looks
    for a job, then the time, and the state again, each in a step of its own. Threads 1 and 2 are of
    one process then, and die together; what is on its way is lost with them.

    Asserted: who stores something in the slot plainly is its holder, and no other thread can have
    it; a holder that may end its lease ends it, and its job is the one that it got; each job is
    acknowledged once, or is a dead letter, which is removed; the history says which tries a claim
    has ended. A thread that sees nothing to do waits, and nobody waits for ever (invalid end
    state). If a claimer cannot have the state, the job that it claimed has another holder.

   M_NO_CLAIM        who finds the time over exchanges the state at once
   M_CLOCK_EARLY     the clock is started before the last store of pop
   M_NOTE_RUNNING    give_back notes in the history before it stops the clock
   M_DONE_BY_STATE   done looks at the clock, and exchanges the state, without stopping the clock
   M_ANY_TRY         a clock counts whatever its tries
   M_SAME_TIME       clocks of the same try are the same word
   M_MARK_TRY_LATE       a claimer starts its clock before it has marked the try that it ended
   M_LETTER_CLOCK    who removes a dead letter leaves its clock
   M_CLAIM_FOR_EVER  the claim of a dead thread keeps others out
   M_STALE_STATE     a claimer does not read the state again after the time
   M_TAKE_SAME_CLOCK (HAND) who takes a lease starts the giver's clock again */
#ifndef NC
#define NC 2
#endif
#ifndef NJ
#define NJ 2
#endif
#ifndef TRIES
#define TRIES 2
#endif
#ifndef MAXD
#define MAXD 0
#endif
#ifndef MORE
#define MORE 1      /* how often a lease is given back or extended, in all */
#endif
#define FREE 0
#define READY 1
#define LEASED 2
#define EXAMINED 3
#define NONE 0
#define RUNS 1
#define CLAIMED 2
byte kind, n, who, job;                 /* state, and the job in the slot */
byte tk, tn, tw; bool over;  /* time: kind, tries, point or claimer; over: the point is past */
byte h[4];  /* history: 0, 1 a holder, 2 gave back, 3 ended by a claim */
bool claimed_try[4];
byte acked[NJ+1], ended, points, more, gen[NC+1], deaths;
#ifdef HAND
bool on_way; byte hy, hp, hg, hj;       /* a lease that is handed over: try, point, giver, job */
#define OF_GIVER (_pid<3)
#endif
bool kill[NC+1];

#define ID (_pid*8+gen[_pid])
#define DEAD(w) (gen[(w)/8]!=(w)%8)
#ifdef M_ANY_TRY
#define OF_TRY(x) true
#else
#define OF_TRY(x) (tn==x)
#endif
#ifdef M_CLAIM_FOR_EVER
#define CLAIM_OPEN false
#else
#define CLAIM_OPEN (tk==CLAIMED && DEAD(tw))
#endif
#define MAY_CLAIM(x) (OF_TRY(x) && ((tk==RUNS && over) || CLAIM_OPEN))
#define MINE (kind==LEASED && who==ID && n==y)
#define EXCLUSIVE assert(MINE && !(tk==RUNS && tn==n) && !(tk==CLAIMED && tn==n))
#ifdef M_SAME_TIME
#define NEW_POINT p=1
#else
#define NEW_POINT points++; p=points
#endif
#define START atomic{ EXCLUSIVE; NEW_POINT; tk=RUNS; tn=y; tw=p; over=0 }
#define START_AGAIN atomic{ EXCLUSIVE; tk=RUNS; tn=y; tw=p; over=0 }
#define STOP(or_else) atomic{ if :: tk==RUNS && tn==y && tw==p -> tk=NONE; tn=0; tw=0; \
    over=0 :: else -> goto or_else fi }
#define FORGET_TRIES h[1]=0; h[2]=0; h[3]=0; claimed_try[1]=0; claimed_try[2]=0; claimed_try[3]=0
#define CHECK_TRIES assert(!claimed_try[1] || h[1]==3); assert(!claimed_try[2] || h[2]==3)
#define END_JOB acked[job]++; assert(acked[job]==1); ended++; FORGET_TRIES
#define MARK atomic{ if :: tk==CLAIMED && tn>0 && tn<=TRIES -> assert(kind!=FREE && who==ID); \
    h[tn]=3 :: else fi }

proctype T(){ byte y, p, k, w, z, tkk, tnn, tww, j, g; bool by_claim;
life:
  { skip;
again:
  atomic{ y=0; p=0; k=0; w=0; z=0; tkk=0; tnn=0; tww=0; j=0; g=0; by_claim=0 };
  if
  :: ended==NJ -> goto done
  :: atomic{ kind==READY -> k=kind; z=n; w=0 }
  :: atomic{ kind==LEASED && (DEAD(who) || MAY_CLAIM(n)) -> k=kind; z=n; w=who;
      by_claim=!DEAD(who) }
  :: atomic{ kind==EXAMINED && DEAD(who) -> k=kind; z=n; w=who }
#ifdef HAND
  :: atomic{ on_way && OF_GIVER -> on_way=0; y=hy; p=hp; g=hg; j=hj; hy=0; hp=0; hg=0; hj=0;
      if :: goto take :: goto untaken fi }
#endif
  fi;
  if
  :: by_claim ->
     atomic{ tkk=tk; tnn=tn; tww=tw; if :: MAY_CLAIM(z) :: else -> goto again fi };
#ifndef M_STALE_STATE
     atomic{ if :: kind==k && n==z && who==w :: else -> goto again fi };
#endif
#ifndef M_NO_CLAIM
     atomic{ if :: tk==tkk && tn==tnn && tw==tww -> tk=CLAIMED; tn=z; tw=ID; over=0
         :: else -> goto again fi }
#endif
  :: else
  fi;
  atomic{
    if
    :: kind==k && n==z && who==w ->
       if :: by_claim && z>0 -> claimed_try[z]=1 :: else fi;
       who=ID;
       if
       :: k==EXAMINED || (k==LEASED && z==TRIES) -> kind=EXAMINED; goto letter
       :: else -> kind=LEASED; n=z+1; y=z+1; j=job
       fi
    :: else -> assert(!by_claim || !(tk==CLAIMED && tw==ID && tn==n && kind==LEASED && !DEAD(who)));
        goto again
    fi };
  /* the rest of pop */
#ifdef M_CLOCK_EARLY
  START;
#endif
#ifdef M_MARK_TRY_LATE
  atomic{ EXCLUSIVE; h[y]=1 };
  atomic{ by_claim=(tk==CLAIMED); tnn=tn };
  START;
  atomic{ if :: by_claim && MINE -> h[tnn]=3 :: else fi };
#else
  MARK;
  atomic{ EXCLUSIVE; h[y]=1 };
#ifndef M_CLOCK_EARLY
  START;
#endif
#endif
  by_claim=0;
work:
  if
  :: goto finish
  :: goto back
  :: goto fails
  :: atomic{ more<MORE -> more++;  /* extend */
       if :: tk==RUNS && tn==y && tw==p -> NEW_POINT; tw=p; over=0; goto work
           :: else -> goto late fi }
#ifdef HAND
  :: atomic{ more<MORE && !on_way && OF_GIVER -> more++; goto hand }
#endif
  :: atomic{ !MINE -> goto finish }  /* it hangs */
  fi;
finish:
#ifdef M_DONE_BY_STATE
  atomic{ if :: tk==RUNS && tn==y && tw==p :: else -> goto late fi };
  atomic{ if :: MINE -> assert(job==j); kind=FREE; n=0; who=0; END_JOB :: else -> goto late fi };
#else
  STOP(late);
  atomic{ EXCLUSIVE; assert(job==j); CHECK_TRIES; kind=FREE; n=0; who=0; END_JOB };
#endif
  goto again;
back:
  atomic{ if :: more<MORE -> more++ :: else -> goto finish fi };
#ifdef M_NOTE_RUNNING
  atomic{ assert(MINE); h[y]=2 };
  STOP(late);
#else
  STOP(late);
  atomic{ EXCLUSIVE; h[y]=2 };
#endif
  atomic{ EXCLUSIVE; kind=READY; n=y-1; who=0 };
  goto again;
fails:
  STOP(late);
  atomic{ EXCLUSIVE; h[y]=2 };
  atomic{ EXCLUSIVE; if :: y<TRIES -> kind=READY; who=0 :: else -> CHECK_TRIES; kind=FREE; n=0;
      who=0; END_JOB fi };
  goto again;
#ifdef HAND
hand:
  STOP(late);
  atomic{ EXCLUSIVE; h[y]=0 };
  START_AGAIN;
  atomic{ on_way=1; hy=y; hp=p; hg=ID; hj=j };
  goto again;
take:
  STOP(late);
  atomic{ if :: kind==LEASED && n==y && who==g -> who=ID :: else -> goto late fi };
  atomic{ EXCLUSIVE; h[y]=1 };
#ifdef M_TAKE_SAME_CLOCK
  START_AGAIN;
#else
  START;
#endif
  goto work;
untaken:
  STOP(late);
  atomic{ if :: kind==LEASED && n==y && who==g -> kind=READY; n=y-1; who=0 :: else fi };
#endif
late:
  goto again;
letter:
  MARK;
#ifndef M_LETTER_CLOCK
  atomic{ assert(kind==EXAMINED && who==ID); tk=NONE; tn=0; tw=0; over=0 };
#endif
  atomic{ assert(kind==EXAMINED && who==ID); CHECK_TRIES; kind=FREE; n=0; who=0; END_JOB };
  goto again;
done: skip
  } unless { kill[_pid] };
  if
  :: atomic{ kill[_pid] -> kill[_pid]=0; gen[_pid]=gen[_pid]+1; y=0; p=0; k=0; w=0; z=0; tkk=0;
      tnn=0; tww=0; j=0; g=0; by_claim=0; goto life }
  :: else
  fi }

/* What happens outside: jobs come, time passes, threads die. */
proctype World(){ byte next;
  do
  :: atomic{ kind==FREE && next<NJ -> next++; job=next; kind=READY; n=0; who=0; FORGET_TRIES }
  :: atomic{ tk==RUNS && !over -> over=1 }
#ifdef HAND
  :: atomic{ deaths<MAXD && ended<NJ -> deaths++; if :: kill[1]=1; kill[2]=1; on_way=0; hy=0;
      hp=0; hg=0; hj=0
#else
  :: atomic{ deaths<MAXD && ended<NJ -> deaths++; if :: kill[1]=1 :: kill[2]=1
#endif
#if NC>2
       :: kill[3]=1
#endif
       fi }
  :: ended==NJ -> break
  od }

init{ atomic{ run T(); run T();
#if NC>2
  run T();
#endif
  run World() } }
