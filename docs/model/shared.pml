/* The shared mutex: docs/protocol.md, "Readers and writers".
   lib/shared/{robust_shared_mutex,shared_acquire,drain}.cpp, lib/records/marks.cpp.

   NP threads, NR thread records, RND rounds in each life; threads die anywhere, MAXD times in all, and come back with a record that they claim anew. The
   kernel's walk takes two steps: the native mutex, then the liveness of the record. Repairs may fail or be missing, writers may give up while they wait,
   and a half-made claim may be judged dead. Memory is sequentially consistent: what the fences and membarrier are for (drain.pml has the one store that
   is not fenced).
   Asserted: no reader beside a writer or a repair, no repair too many or too few, nobody stuck, the gate closed while the state is not consistent.

   M_LOOK_BEFORE_MARK   a reader looks at the gate before it marks itself
   M_NAME_BEFORE_DRAIN  a writer names itself in the state before readers have left
   M_KEEP_MARKS         the marks of the former thread stay when a record is claimed
   M_SKIP_DRAIN         who finds the gate closed takes the drain for done
   M_OPEN_EARLY         a writer opens the gate before it takes its name out of the state
   M_MARK_LATE          a reader marks itself after it has given the writers' mutex back
   M_COUNT_LATE         records_in_use is raised after the first mark
   M_DOWNGRADE_LATE     a writer that downgrades marks itself after it has given the writers' mutex back
   M_TRUST_MARKS        a writer waits for marks, whoever lives
   M_OPEN_ON_ERROR      who cannot repair opens the gate */
#ifndef NP
#define NP 2
#endif
#ifndef NR
#define NR 3
#endif
#ifndef MAXD
#define MAXD 2
#endif
#ifndef RND
#define RND 2
#endif
#define OD 99
#define C 0
#define U 1
#define RP 2
byte word;               /* native word of the writers' robust mutex */
byte holder, cond;       /* state word: holder (thread), condition */
byte gate;               /* 0 open, 1 closed */
byte hwm;                /* records in use: upper bound */
byte live[NR], ident[NR]; bool mark[NR];
byte rin;                /* ghost: live readers inside */
byte win;                /* ghost: thread that is or died inside, unrepaired */
bool dirty; byte nexttid=1, deaths, running; bool kill[6];
inline kernel_walk(){
  atomic{ if :: word==t -> word=OD :: else fi };
  if :: me>0 -> atomic{ if :: live[me-1]==t -> live[me-1]=0 :: else fi } :: else fi
}
proctype T(){
  byte t, r, me, rc, rounds=0; bool inr;
life:
  atomic{ t=nexttid; nexttid++; me=0; r=0; rc=0; inr=0 };
  {
  skip;
  r=0;
  do                                     /* claim a record */
  :: r>=NR -> goto done
  :: r<NR -> atomic{ if :: live[r]==0 -> live[r]=t; me=r+1; rc=1 :: else -> rc=0 fi };
     if :: rc -> break :: else -> r++ fi
  od;
#ifndef M_KEEP_MARKS
  mark[me-1]=0;
#endif
  ident[me-1]=t;
#ifndef M_COUNT_LATE
  atomic{ if :: hwm<me -> hwm=me :: else fi };
#endif
again:
  assert(!mark[me-1]);                     /* found by M_KEEP_MARKS */
  if :: goto rd :: goto wr fi;
rd:                                      /* ---- lock_shared, fast */
#ifdef M_LOOK_BEFORE_MARK
  rc=gate;
  mark[me-1]=1;
#else
  mark[me-1]=1;
  rc=gate;
#endif
#ifdef M_COUNT_LATE
  atomic{ if :: hwm<me -> hwm=me :: else fi };
#endif
  if :: rc==0 -> atomic{ inr=1; rin++ }; goto inside :: else fi;
  mark[me-1]=0;
  if :: true -> skip :: true -> goto fin fi;          /* try_lock_shared, timed out */
  atomic{ (word==0||word==OD) -> word=t };            /* slow: through the writers' mutex */
  if
  :: atomic{ holder==0 && cond==C -> assert(win==0) }
  :: else ->
repair_r:
     atomic{ assert(win!=0); assert(rin==0) };
     if :: true -> skip
        :: atomic{ true -> holder=0; cond=U };
#ifdef M_OPEN_ON_ERROR
           gate=0;
#endif
           word=0; goto fin          /* none registered, failed */
     fi;
     atomic{ holder=t; cond=RP };
     atomic{ assert(rin==0); dirty=1 };
     atomic{ assert(rin==0); dirty=0 };
     atomic{ holder=0; cond=C; win=0 };
  fi;
#ifdef M_MARK_LATE
  gate=0;
  word=0;
  mark[me-1]=1;
#else
  mark[me-1]=1;
  gate=0;
  word=0;
#endif
  atomic{ inr=1; rin++ };
inside:
  atomic{ assert(!dirty); assert(win==0) };
  atomic{ assert(!dirty); assert(win==0) };
  atomic{ inr=0; rin-- };
  mark[me-1]=0;
  goto fin;
wr:                                      /* ---- lock */
  atomic{ (word==0||word==OD) -> rc=(word==OD->1:0); word=t };
  if
  :: atomic{ holder==0 && cond==C -> assert(win==0) };
  :: else ->
     atomic{ assert(win!=0); assert(rin==0) };
     if :: true -> skip
        :: atomic{ true -> holder=0; cond=U };
#ifdef M_OPEN_ON_ERROR
           gate=0;
#endif
           word=0; goto fin
     fi;
     atomic{ holder=t; cond=RP };
     atomic{ assert(rin==0); dirty=1 };
     atomic{ assert(rin==0); dirty=0 };
     atomic{ holder=0; cond=C; win=0 };
  fi;
#ifdef M_NAME_BEFORE_DRAIN
  atomic{ holder=t; win=t };
#endif
#ifdef M_SKIP_DRAIN
  if :: gate==1 -> goto enter :: else fi;
#endif
  gate=1;
  r=0;
  do                                     /* drain */
  :: r>=hwm -> break
  :: r<hwm && !mark[r] -> r++
#ifndef M_TRUST_MARKS
  :: r<hwm && mark[r] ->
     if :: live[r]==0 -> r++
        :: live[r]!=0 && ident[r]!=live[r] -> r++      /* a claimer half way, wrongly judged dead */
        :: !mark[r] -> r++
        :: true -> gate=0; word=0; goto fin             /* timed out, try_lock */
     fi
#else
  :: r<hwm && mark[r] -> !mark[r]; r++
#endif
  od;
enter:
  atomic{ holder=t; win=t; assert(rin==0) };
  atomic{ assert(rin==0); dirty=1 };
  atomic{ assert(rin==0); dirty=0 };
  if
  :: skip
  :: atomic{ true ->                       /* downgrade */
#ifdef M_DOWNGRADE_LATE
     holder=0; win=0; inr=1; rin++ }; gate=0; word=0; mark[me-1]=1;
#else
     mark[me-1]=1 }; atomic{ holder=0; win=0; inr=1; rin++ }; gate=0; word=0;
#endif
     goto inside
  fi;
#ifdef M_OPEN_EARLY
  gate=0;
  atomic{ holder=0; win=0 };
#else
  atomic{ holder=0; win=0 };
  gate=0;
#endif
  word=0;
fin:
  rounds++;
  if :: rounds<RND -> goto again :: else fi;
done: skip;
  } unless { kill[_pid] };
  if :: kill[_pid] -> atomic{ if :: inr -> rin--; inr=0 :: else fi }; kernel_walk(); kill[_pid]=0; goto life
     :: else -> kernel_walk()
  fi;
  running--
}
init{
  atomic{ running=NP; run T(); run T();
#if NP>2
  run T();
#endif
  }
  do
  :: atomic{ deaths<MAXD && running>0 -> if :: kill[1]=1 :: kill[2]=1
#if NP>2
     :: kill[3]=1
#endif
     fi; deaths++ }
  :: running==0 -> break
  od;
  assert(word==0 || word==OD); assert(rin==0);
  assert(!(win!=0 && holder==0 && cond==C));
  assert(gate!=0 || (holder==0 && cond==C));           /* not clean => closed */
}
