/* The order of the jobs of a work queue: docs/protocol.md, "Work queue".
    lib/companions/queue_producer.cpp, queue_consumer.cpp, and J6 in job_slots.hpp.

    NP producers push NJ jobs each through NS slots, NC consumers lease them and may stop after any,
    E ends leases in any order. Nobody dies. A position is a number: the slot is position % NS, the
    lap position / NS. A state word is one step: its kind, and the position at which consumers find
    the job. An exchange in a loop (tail up, head back) is one step, after a load of its own where
    the code uses what that saw.

    Asserted: the jobs of a producer are leased in their order; when all have ended, no job waits
    behind head. Both unless a consumer of the job at head was stopped before its plain store of
    head, and undid a pull (stale; J6 says so).

   M_PASS_UNCOUNTED a consumer does not count that it passes a slot that is being filled
   M_LATE_UNSEEN    a producer does not look at head if tail was beyond its slot already
   M_PASS_UNCHECKED a consumer that moved head does not look again at the slots that it passed
   M_HEAD_ONCE      the job at head is leased without another look at head
   M_TAIL_AFTER_JOB tail moves after the job is ready, not before
   M_NO_LAP         the first job from head on is leased, whatever its lap */
#ifndef NP
#define NP 2
#endif
#ifndef NC
#define NC 1
#endif
#ifndef NS
#define NS 2
#endif
#ifndef NJ
#define NJ 2
#endif
#define FREE 0
#define FILLING 1
#define READY 2
#define LEASED 3   /* and pop has not returned yet */
#define HELD 4
typedef slot { byte kind; byte at; byte who; byte job };
slot s[NS];
byte head=NS*4, tail=NS*4, overtaken, running, producing=NP;
byte last[NP]; bool stale;

#define BACK(h,i) (((i)<(h)%NS) -> ((h)/NS)*NS+(i) : ((h)/NS)*NS+(i)-NS)
#define TAIL_UP   atomic{ if :: tail<at+1 -> tail=at+1 :: else fi }
#define PULL(p)   atomic{ if :: p<head -> head=p :: else fi }

proctype P(byte me){ byte at, i, o, h, n; bool late, x;
  do
  :: n<NJ ->
     atomic{ n++; o=overtaken };
     at=tail;
     atomic{ if :: s[at%NS].kind==FREE -> s[at%NS].kind=FILLING; goto have :: else fi };
again:
     atomic{ at=tail; i=0 };
     do
     :: i<NS -> atomic{ if :: s[at%NS].kind==FREE -> s[at%NS].kind=FILLING; goto have
         :: else -> at++; i++ fi }
     :: else -> break
     od;
     goto again;
have:
     atomic{ i=at%NS; s[i].who=me; s[i].job=n };
#ifndef M_TAIL_AFTER_JOB
#ifndef M_LATE_UNSEEN
     late=(tail>=at+1);
#endif
     TAIL_UP;
#endif
     x=(late || overtaken!=o);
     if :: x -> h=head; if :: at<h -> h=head; at=BACK(h,i) :: else fi
        :: else fi;
     atomic{ assert(s[i].kind==FILLING); s[i].kind=READY; s[i].at=at };
#ifdef M_TAIL_AFTER_JOB
     TAIL_UP;
#endif
     x=(late || overtaken!=o);
     if :: x -> PULL(at) :: else fi;
     atomic{ i=0; o=0; h=0; at=0; late=0; x=0 }
  :: else -> break
  od;
  atomic{ producing--; running-- } }

#define LEASE(i) got=(i)+1; s[i].kind=LEASED; s[i].at=0; \
    assert(stale || s[i].job>last[s[i].who]); last[s[i].who]=s[i].job

/* The first of the jobs before `to`, of those in the slots from `from` to `to`. */
#define FIND(from,to) \
  atomic{ at=from; i=0; found=0; first=0 }; \
  do \
  :: at<to && i<NS -> \
     atomic{ \
       if \
       :: s[at%NS].kind==READY && s[at%NS].at<to && (!found || s[at%NS].at<first) -> \
          found=1; first=s[at%NS].at; \
          if :: ENOUGH -> break :: else fi \
       :: s[at%NS].kind==FILLING -> passes=1 \
       :: else \
       fi; \
       at++; i++ } \
  :: else -> break \
  od
#ifdef M_NO_LAP
#define ENOUGH true
#else
#define ENOUGH first<=at
#endif

proctype C(){ byte h, t, at, i, first, got; bool found, passes;
again:
  atomic{ if :: got>0 -> s[got-1].kind=HELD; got=0 :: else fi; h=0; t=0; at=0; i=0; first=0;
      found=0; passes=0 };
  do
  :: producing>0 -> break
  :: goto end
  od;
  h=head;
  atomic{ if :: s[h%NS].kind==READY && s[h%NS].at==h :: else -> goto scan fi };
#ifndef M_HEAD_ONCE
  atomic{ if :: head==h :: else -> goto scan fi };
#endif
  atomic{ if :: s[h%NS].kind==READY && s[h%NS].at==h -> LEASE(h%NS) :: else -> goto scan fi };
  atomic{ if :: head!=h -> goto again :: else fi };
  atomic{ if :: head!=h -> stale=1 :: else fi; head=h+1 };
  goto again;
scan:
  t=tail;
  atomic{ h=head; passes=0 };
  FIND(h,t);
  if :: !found -> goto again :: else fi;
  atomic{
    if
    :: s[first%NS].kind==READY && s[first%NS].at==first -> LEASE(first%NS)
    :: else -> goto scan
    fi };
  if :: first<h -> goto again :: else fi;
#ifndef M_PASS_UNCOUNTED
  if :: passes -> overtaken++ :: else fi;
#endif
  atomic{ if :: head==h -> head=first+1 :: else -> goto again fi };
#ifndef M_PASS_UNCHECKED
  atomic{ t=first };
  FIND(h,t);
  if :: found -> PULL(first) :: else fi;
#endif
  goto again;
end:
  running-- }

/* Ends leases in any order. */
proctype E(){
end: do
  :: atomic{ s[0].kind==HELD -> s[0].kind=FREE }
  :: atomic{ s[1].kind==HELD -> s[1].kind=FREE }
#if NS>2
  :: atomic{ s[2].kind==HELD -> s[2].kind=FREE }
#endif
#if NS>3
  :: atomic{ s[3].kind==HELD -> s[3].kind=FREE }
#endif
  od }

init{ byte i;
  atomic{
    running=NP+NC; run P(0); run C(); run E();
#if NP>1
    run P(1);
#endif
#if NC>1
    run C();
#endif
  };
  atomic{ running==0 -> i=0;
    do :: i<NS -> assert(stale || s[i].kind!=READY || s[i].at>=head); i++ :: else -> break od } }
