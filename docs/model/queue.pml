/* The work queue: docs/protocol.md, "Work queue". lib/companions/queue_producer.cpp, queue_consumer.cpp, job_lease.cpp.

   One producer and NC consumers, NS slots, NJ jobs, NR records, at most TRIES tries; a dead letter is removed by whoever makes it one. The state of a slot
   is one word: kind, tries, and record and generation of its holder; v[i] is the job in it, written in a step of its own. Consumers end a job or fail;
   with -DGIVE_BACK they give it back, too, which is no try. Threads die anywhere, MAXD times in all, and come back with a record that they claim anew. Without -DSLICE a sleeper is woken by others or never, so nobody may die then.
   Asserted: whoever gets a job gets a whole one that nobody has acknowledged; a holder finds its own word; in the end each job that was published is
   acknowledged once, or was a dead letter, or is in one slot. Nobody is left asleep (invalid end state).

   With -DHAND a consumer hands its job over, and goes on; tok, which is no shared memory, is the object on its way. Another consumer takes it, or it ends
   untaken. (Picking tok up and the exchange are one step: nobody else sees the first.) The thread that handed over may have died meanwhile.

   With -DCLOSE the producer closes the queue after its last job, and a consumer ends only when it finds the queue closed and then, at a look at
   all slots, nothing that is or may become a job. Closing and a job's end wake all consumers.

   With -DWATCH a supervisor sees each death some time later, and wakes all sleepers of a queue for which a thread has named itself. Then no slice is
   needed (no -DSLICE), whoever dies.

   With -DPLAIN done() is a store, which stays in the store buffer for a while. A producer, and a consumer of a closed queue, calls membarrier between its
   mark and its look, which empties all store buffers. (One slot: -DNS=1.)

   M_DONE_NO_BARRIER    a sleeper does not call membarrier
   With -DDELAY a consumer gives its job back for a later time, a word of its own, and a clock says when that has come. A sleeper that saw such a job sleeps
   until its time at most. (One slot: -DNS=1.)

   M_DELAY_ONE_LOOK     who leases a delayed job does not look at its time once more
   M_DELAY_TIME_LAST    the time is written after the state that makes it count
   M_NAME_LATE          a sleeper names the queue after its last look, not before its mark
   M_HALF_CLAIMED       who had a record counts as alive while another thread is claiming it
   M_CLOSE_WAKES_NOBODY the last done() of a closed queue wakes no other consumer
   M_JOB_TAKE_BY_STORE a dead consumer's job is taken over by a store instead of an exchange
   M_JOB_LOOK_FIRST    who waits looks at the slots before it marks the bit, not after
   M_PUBLISH_FIRST     a slot is ready before the job is in it
   M_JOB_HAND_BY_STORE a handed job is taken by a store instead of an exchange
   M_FREE_THE_DEAD     a dead consumer's slot is free, as a dead producer's is */
#ifndef NC
#define NC 2
#endif
#ifndef NS
#define NS 1
#endif
#ifndef NJ
#define NJ 2
#endif
#ifndef NR
#define NR 3
#endif
#ifndef TRIES
#define TRIES 2
#endif
#ifndef MAXD
#define MAXD 0
#endif
#define FREE 1
#define FILLING 2
#define READY 3
#define LEASED 4
#define DELAYED 5
typedef slot { byte kind; byte tries; byte who };
slot s[NS]; byte v[NS];
byte live[NR], gen[NR];
byte nonempty, nonfull, asleep[5];               /* the words to sleep on; which one each process sleeps on: 1, 2 */
byte acked[NJ+1]; bool published[NJ+1];
byte nextjob, producing, running, deaths; bool kill[5];
#ifdef PLAIN
bool buf[5];                                     /* the thread's store to the slot is in its store buffer */
#define DRAIN(p) if :: buf[p] -> buf[p]=0; s[0].kind=FREE; s[0].who=0; s[0].tries=0 :: else fi
#endif
#ifdef DELAY
bool due[NS]; byte delays;                       /* the time of the slot has come; how often a job was given back for a time: twice at most */
#define COMES_DUE(which) (which==1 && d && due[0])
#else
#define COMES_DUE(which) false
#endif
#ifdef HAND
byte tok, tok_i, tok_w, tok_y;                   /* a job on its way: its slot, and the word that its holder had there */
#define ARRIVES(which) (which==1 && tok)
#else
#define ARRIVES(which) false
#endif
#if NS==1
#define SETTLED (producing==0 && s[0].kind<READY)
#else
#define SETTLED (producing==0 && s[0].kind<READY && s[1].kind<READY)
#endif
#ifdef CLOSE
#undef SETTLED
#define SETTLED false
byte closed;
#endif
#define WAKE_ALL(word,which) atomic{ word=((word+2)%16)&254 }; atomic{ ALL_OF(which) }
#ifdef WATCH
bool named[5]; byte unseen;                      /* the thread's record names the queue; deaths that the supervisor has not seen */
#define DIED unseen++;
#define FORGET named[_pid]=0;
#else
#define DIED
#define FORGET
#endif
#if defined(WATCH) && !defined(M_NAME_LATE)
#define NAME_FIRST named[_pid]=1
#else
#define NAME_FIRST skip
#endif
#if defined(WATCH) && defined(M_NAME_LATE)
#define NAME_LATE named[_pid]=1
#else
#define NAME_LATE skip
#endif
#define END_JOB(job) s[i].kind=FREE; s[i].who=0; s[i].tries=0; acked[job]++; assert(acked[job]==1)
#define ID (me*16+mg)
/* live: 0 nobody holds the liveness mutex, 1 a thread that has not written its identity yet, 2 the thread that the identity names */
#ifdef M_HALF_CLAIMED
#define IS_NOT_ALIVE(l) (l==0)
#else
#define IS_NOT_ALIVE(l) (l!=2)
#endif
#define ASK_DEAD atomic{ if :: n==2 && gen[w/16-1]%16!=w%16 -> n=1 :: else fi }; atomic{ if :: n==2 -> n=IS_NOT_ALIVE(live[w/16-1]) :: else fi }   /* two reads */
/* wake_one of lib/companions/wait_word.cpp; `which` is 1 or 2. An atomic has one access to shared memory at most. */
#define ALL_OF(which) if :: asleep[1]==which -> asleep[1]=0 :: else fi; if :: asleep[2]==which -> asleep[2]=0 :: else fi; if :: asleep[3]==which -> asleep[3]=0 :: else fi
#define WAKE(word,which) \
  atomic{ q=word; n=(q&1) }; \
  if :: n -> atomic{ word=(word+2)%16; q=word }; \
     atomic{ if :: asleep[1]==which -> asleep[1]=0; n=0 :: asleep[2]==which -> asleep[2]=0; n=0 :: asleep[3]==which -> asleep[3]=0; n=0 :: else fi }; \
     if :: n -> atomic{ if :: word==q -> word=q&254 :: else -> n=0 fi }; if :: n -> atomic{ ALL_OF(which) } :: else fi :: else fi \
     :: else fi
#ifdef M_JOB_LOOK_FIRST
#define MARK(word) atomic{ word=word|1; q=word }
#else
#define MARK(word) atomic{ if :: q==200 || q!=word -> word=word|1; q=word; goto retry :: else fi }
#endif
#ifdef SLICE
#define SLEEP(word,which) atomic{ if :: word==q -> asleep[_pid]=which :: else fi }; if :: asleep[_pid]==0 :: atomic{ asleep[_pid]!=0 -> asleep[_pid]=0 } fi
#else
#define SLEEP(word,which) atomic{ if :: word==q -> asleep[_pid]=which :: else fi }; atomic{ (asleep[_pid]==0 || (which==1 && SETTLED) || ARRIVES(which) || COMES_DUE(which)) -> asleep[_pid]=0 }
#endif
proctype T(bool produces){ byte me,mg,r,i,k,w,y,n,j,q;
#ifdef DELAY
  bool d;                                         /* it saw a job whose time had not come */
#endif
life: atomic{ me=0; mg=0; r=0 };
  { skip;
#if MAXD==0
  atomic{ me=_pid; live[me-1]=2 };
#else
  do :: r>=NR -> goto done
     :: r<NR -> atomic{ if :: live[r]==0 -> live[r]=1; me=r+1 :: else -> r++ fi }; if :: me -> break :: else fi od;
#endif
  atomic{ gen[me-1]=gen[me-1]+1; live[me-1]=2; mg=gen[me-1]%16; r=0; FORGET };
again:
  atomic{ q=200; j=0; if :: produces && nextjob<NJ -> nextjob++; j=nextjob :: produces && nextjob==NJ -> goto done :: else fi };
retry:
#ifdef PLAIN
  atomic{ DRAIN(_pid) };                          /* what follows has locked instructions */
#ifndef M_DONE_NO_BARRIER
#ifdef CLOSE
  n=closed;
#else
  n=0;
#endif
  if :: q!=200 && (produces || n) -> atomic{ DRAIN(1); DRAIN(2); DRAIN(3) } :: else fi;
#endif
#endif
  atomic{ i=0; if :: !produces && SETTLED -> goto done :: else fi };
#ifdef HAND
  if
  :: atomic{ !produces && tok -> i=tok_i; w=tok_w; y=tok_y; tok=0; tok_i=0; tok_w=0; tok_y=0;              /* take() */
       if :: s[i].kind==LEASED && s[i].who==w && s[i].tries==y -> s[i].who=ID; goto have
#ifdef M_JOB_HAND_BY_STORE
          :: else -> s[i].kind=LEASED; s[i].tries=y; s[i].who=ID; goto have
#else
          :: else -> i=0; w=0; y=0
#endif
       fi }
  :: atomic{ !produces && tok -> i=tok_i; w=tok_w; y=tok_y; tok=0; tok_i=0; tok_w=0; tok_y=0;              /* its end, untaken */
       if :: s[i].kind==LEASED && s[i].who==w && s[i].tries==y -> s[i].who=0; s[i].tries=y-1; s[i].kind=READY; goto job
          :: else -> i=0; w=0; y=0
       fi }
  :: skip                                         /* it looks elsewhere first */
  fi;
#endif
#ifdef DELAY
  d=0;
#endif
look:
  atomic{ k=s[i].kind; w=s[i].who; y=s[i].tries; n=0;
     if :: produces && k==FREE -> n=1
        :: produces && k==FILLING -> n=2
#ifdef M_FREE_THE_DEAD
        :: produces && k==LEASED -> n=2
#endif
        :: !produces && k==READY -> n=1
        :: !produces && k==LEASED -> n=2
        :: !produces && k==DELAYED -> n=3
        :: else
     fi };
#ifdef DELAY
  if :: n==3 -> atomic{ n=due[i]; d=!n } :: else fi;
#endif
  if :: n==2 -> ASK_DEAD :: else fi;
  atomic{
     if :: n && produces && s[i].kind==k && s[i].who==w && s[i].tries==y -> s[i].kind=FILLING; s[i].who=ID; s[i].tries=0; v[i]=0; goto have
#ifdef M_JOB_TAKE_BY_STORE
        :: n && !produces && k==LEASED && y<TRIES -> s[i].kind=LEASED; s[i].who=ID; s[i].tries=y+1; goto have
#endif
#ifdef DELAY
        :: n && !produces && k==DELAYED && s[i].kind==k && s[i].who==w && s[i].tries==y -> s[i].kind=LEASED; s[i].who=ID; s[i].tries=y+1; goto due_or_not
#endif
        :: n && !produces && k!=DELAYED && s[i].kind==k && s[i].who==w && s[i].tries==y && y<TRIES -> s[i].kind=LEASED; s[i].who=ID; s[i].tries=y+1; goto have
        :: n && !produces && s[i].kind==k && s[i].who==w && s[i].tries==y && y>=TRIES -> END_JOB(v[i]); goto room
        :: else -> i++; k=0; w=0; y=0; n=0; if :: i<NS -> goto look :: else -> i=0 fi
     fi };
#ifdef CLOSE
  if :: !produces ->
        atomic{ i=0; n=closed };
        do :: n && i<NS -> atomic{ if :: s[i].kind>=FILLING -> n=0 :: else -> i++ fi } :: else -> break od;
        if :: n -> goto done :: else -> i=0 fi
     :: else fi;
#endif
  NAME_FIRST;
  if :: produces -> MARK(nonfull); NAME_LATE; SLEEP(nonfull,2)
     :: else -> MARK(nonempty); NAME_LATE; SLEEP(nonempty,1)
  fi;
  atomic{ q=200; goto retry };
#ifdef DELAY
due_or_not:
#ifndef M_DELAY_ONE_LOOK
  n=due[i];
  if :: n :: else -> atomic{ assert(s[i].kind==LEASED && s[i].who==ID); s[i].kind=DELAYED; s[i].who=0; s[i].tries=y; goto job } fi;
#endif
  assert(due[i]);
#endif
have:
  atomic{ n=0; k=0; w=0; y=0; q=200; FORGET };
  if
  :: produces ->
#ifdef M_PUBLISH_FIRST
     atomic{ assert(s[i].kind==FILLING && s[i].who==ID); s[i].kind=READY; s[i].who=0; published[j]=1 };
     v[i]=j;
#else
     v[i]=j;
     atomic{ assert(s[i].kind==FILLING && s[i].who==ID); s[i].kind=READY; s[i].who=0; published[j]=1 };
#endif
     goto job
  :: else ->
     atomic{ j=v[i]; assert(j>0 && acked[j]==0) };
     if
#ifdef PLAIN
     :: atomic{ assert(s[i].kind==LEASED && s[i].who==ID && v[i]==j); buf[_pid]=1; acked[j]++; assert(acked[j]==1); goto room }
#else
     :: atomic{ assert(s[i].kind==LEASED && s[i].who==ID && v[i]==j); END_JOB(j); goto room }   /* done */
#endif
#ifdef HAND
     :: atomic{ !tok -> assert(s[i].kind==LEASED && s[i].who==ID && v[i]==j);                   /* hand_over */
          tok=1; tok_i=i; tok_w=ID; tok_y=s[i].tries; i=0; j=0; goto again }
#endif
#ifdef DELAY
#ifndef M_DELAY_TIME_LAST
     :: atomic{ delays<2 -> delays++; due[i]=0 };                                                                               /* give_back(time) */
#else
     :: atomic{ delays<2 -> delays++ };
#endif
        atomic{ assert(s[i].kind==LEASED && s[i].who==ID && v[i]==j); s[i].who=0; s[i].tries=s[i].tries-1; s[i].kind=DELAYED };
#ifdef M_DELAY_TIME_LAST
        due[i]=0;
#endif
        goto job
#endif
#ifdef GIVE_BACK
     :: atomic{ assert(s[i].kind==LEASED && s[i].who==ID && v[i]==j);                           /* give_back */
          s[i].who=0; s[i].tries=s[i].tries-1; s[i].kind=READY; goto job }
#endif
     :: atomic{ assert(s[i].kind==LEASED && s[i].who==ID && v[i]==j);                           /* fail */
          if :: s[i].tries<TRIES -> s[i].who=0; s[i].kind=READY; goto job :: else -> END_JOB(j); goto room fi }
     fi
  fi;
job:
  atomic{ i=0; j=0; k=0; w=0; y=0 }; WAKE(nonempty,1); goto again;
room:
  atomic{ i=0; j=0; k=0; w=0; y=0 }; WAKE(nonfull,2);
#if defined(CLOSE) && !defined(M_CLOSE_WAKES_NOBODY)
  n=closed; if :: n -> WAKE_ALL(nonempty,1) :: else fi;
#endif
  goto again;
done: skip;
#ifdef CLOSE
  if :: produces -> closed=1; WAKE_ALL(nonempty,1) :: else fi
#endif
  } unless { kill[_pid] };
#ifdef PLAIN
  atomic{ DRAIN(_pid) };
#endif
  if :: kill[_pid] -> atomic{ DIED asleep[_pid]=0; i=0; k=0; w=0; y=0; n=0; j=0; q=0; if :: me>0 -> live[me-1]=0; me=0; mg=0 :: else fi; kill[_pid]=0; goto life }
     :: else -> atomic{ if :: me>0 -> live[me-1]=0; me=0; mg=0 :: else fi }
  fi;
  atomic{ running--; if :: produces -> producing-- :: else fi } }
#ifdef DELAY
proctype C(){ do :: atomic{ s[0].kind==DELAYED && !due[0] -> due[0]=1 } :: running==0 -> break od }
#endif
#ifdef PLAIN
proctype B(){ do :: atomic{ buf[2] -> DRAIN(2) } :: atomic{ buf[3] -> DRAIN(3) } :: running==0 -> break od }
#endif
#ifdef WATCH
proctype W(){ byte n;
end: do
  :: atomic{ unseen>0 -> unseen=0 };
     atomic{ n=named[1]||named[2]||named[3] };
     if :: n ->
        WAKE_ALL(nonempty,1); WAKE_ALL(nonfull,2)
     :: else fi
  od }
#endif
init{ byte i, j, n;
 atomic{ i=0; do :: i<NS -> s[i].kind=FREE; i++ :: else -> break od; i=0; running=NC+1; producing=1; run T(1); run T(0);
#if NC>1
  run T(0);
#endif
#ifdef WATCH
  run W();
#endif
#ifdef DELAY
  run C();
#endif
#ifdef PLAIN
  run B();
#endif
 }
 do :: atomic{ deaths<MAXD && running>0 -> if :: kill[1]=1 :: kill[2]=1
#if NC>1
 :: kill[3]=1
#endif
 fi; deaths++ }
    :: running==0 -> break od;
 j=1; do :: j<=NJ -> n=acked[j]; i=0;
        do :: i<NS -> if :: v[i]==j && (s[i].kind==READY || s[i].kind==LEASED || s[i].kind==DELAYED) -> n++ :: else fi; i++ :: else -> break od;
        assert(!published[j] || n==1); assert(n<=1); j++
    :: else -> break od
}
