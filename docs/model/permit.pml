/* Permits: docs/protocol.md, "Permits". lib/companions/permit_pool.cpp.

   NT threads, NPM permits, NR records. p[i] is 0, or the record and generation of the holder. Threads die anywhere, MAXD times in all, and come back with
   a record that they claim anew. Without -DSLICE a sleeper is woken by others or never, so nobody may die then.
   -DPLAIN: a permit is given back by a store, which others see later, at the latest when a waiter calls membarrier; as in segments with plain marks.
   -DHAND: a thread may hand its permit over; tok, which is no shared memory, is the object on its way, and tok_in says that its permit counts as held:
   the thread that handed it over lives. Another thread takes it, at a time at which that thread may have ended.
   -DMANY: each thread wants all permits. It becomes the collector, keeps what it has while it waits for more, and then releases one after the other.
   (Who waits to be the collector is a blocked process: its wake-up is that of any wait word.)
   Asserted: never more inside than permits; a release finds its own word; in the end every word is free or names a dead thread.

   M_RECORD_ONLY     the word names the record only
   M_TAKE_BY_STORE   a dead holder's permit is taken over by a store instead of an exchange
   M_NO_BARRIER      with PLAIN: a waiter does not call membarrier between its mark and its last look
   M_NO_TURN         with MANY: several threads collect at a time
   M_HAND_BY_STORE   a handed permit is taken by a store instead of an exchange
   M_LOOK_FIRST      a waiter looks at the words before it marks the bit, not after */
#ifndef NT
#define NT 3
#endif
#ifndef NPM
#define NPM 1
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
byte p[NPM]; byte live[NR], gen[NR]; byte seq; bool asleep[8]; byte nsleep;
#ifdef MANY
byte turn;      /* who collects */
#endif
byte inside; byte running, deaths, nexttid=1; bool kill[8];
byte buf[8];   /* of a thread, by _pid: permit + 1 whose store of 0 the others do not see yet */
#define SEEN(k) if :: buf[k] -> p[buf[k]-1]=0; inside--; buf[k]=0 :: else fi
#ifdef HAND
byte tok, tok_i, tok_w; bool tok_in;
#define GIVER_ENDS if :: tok && tok_w==ID && tok_in && p[tok_i]==tok_w -> inside--; tok_in=0 :: else fi
#else
#define GIVER_ENDS skip
#endif
#ifdef MANY
#define DIES_WITH_SEVERAL inside=inside-has; has=0
#else
#define DIES_WITH_SEVERAL skip
#endif
#ifdef M_RECORD_ONLY
#define ID (me*16)
#define DEADW(w) (live[(w)/16-1]==0)
#else
#define ID (me*16+mg)
#define DEADW(w) (gen[(w)/16-1]%16!=(w)%16 || live[(w)/16-1]==0)
#endif
proctype T(){ byte t,me,mg,r,w,i,s,n,rounds=0; bool in_;
#ifdef MANY
  byte has;
#endif
life: atomic{ t=nexttid; nexttid++; me=0; mg=0; r=0; w=0;i=0;s=0;n=0;in_=0 };
#ifdef MANY
  has=0;
#endif
  { skip;
  do :: r>=NR -> goto done
     :: r<NR -> atomic{ if :: live[r]==0 -> live[r]=t; me=r+1 :: else fi }; if :: me -> break :: else -> r++ fi od;
  gen[me-1]=gen[me-1]+1; mg=gen[me-1]%16;
again:
#ifdef PLAIN
  atomic{ SEEN(_pid) };   /* its own exchange comes after it */
#endif
#if defined(MANY) && !defined(M_NO_TURN)
#ifdef SLICE
  atomic{ (turn==0 || DEADW(turn)) -> turn=ID };   /* the death of the collector is seen after a slice */
#else
  atomic{ turn==0 -> turn=ID };
#endif
#endif
#ifdef HAND
  if
  :: atomic{ tok -> i=tok_i; w=tok_w; n=tok_in; tok=0; tok_i=0; tok_w=0; tok_in=0;   /* take() */
#ifdef M_HAND_BY_STORE
       if :: n==0 -> inside++ :: else fi; p[i]=ID; in_=1; n=0; assert(inside<=NPM); goto got }
#else
       if :: p[i]==w -> if :: n==0 -> inside++ :: else fi; p[i]=ID; in_=1; n=0; assert(inside<=NPM); goto got :: else -> n=0 fi }
#endif
  :: skip
  fi;
#endif
  s=200;
retry:
  i=0;
  do
  :: i>=NPM -> break
  :: i<NPM -> w=p[i];
     if :: w==0 -> atomic{ if :: p[i]==0 -> p[i]=ID; inside++; in_=1; assert(inside<=NPM) :: else fi }
        :: w!=0 ->
           if :: gen[w/16-1]%16!=w%16 -> n=1 :: else -> n=(live[w/16-1]==0) fi;   /* two reads */
#ifdef M_RECORD_ONLY
           n=(live[w/16-1]==0);
#endif
           if :: n ->
#ifdef M_TAKE_BY_STORE
              atomic{ p[i]=ID; inside++; in_=1; assert(inside<=NPM) }
#else
              atomic{ if :: p[i]==w -> p[i]=ID; inside++; in_=1; assert(inside<=NPM) :: else fi }
#endif
              :: else fi
     fi;
#ifdef MANY
     atomic{ if :: in_ -> in_=0; has++ :: else fi };
     if :: has==NPM -> goto got :: else fi;
#else
     if :: in_ -> goto got :: else fi;
#endif
     i++
  od;
#ifdef M_LOOK_FIRST
  atomic{ seq=seq|1; s=seq };
#else
  if :: s==200 || s!=seq -> atomic{ seq=seq|1; s=seq };
#if defined(PLAIN) && !defined(M_NO_BARRIER)
        atomic{ SEEN(1); SEEN(2); SEEN(3) };   /* membarrier */
#endif
        goto retry
     :: else fi;
#endif
  atomic{ if :: seq==s -> asleep[_pid]=1; nsleep++ :: else fi };
#ifdef SLICE
  if :: !asleep[_pid] :: atomic{ asleep[_pid] -> asleep[_pid]=0; nsleep-- } fi;
#else
  !asleep[_pid];
#endif
  s=200; goto retry;
got:
  skip;
#ifdef MANY
#ifndef M_NO_TURN
  atomic{ assert(turn==ID); turn=0 };
#endif
  i=0;
one:
#endif
#ifdef HAND
  if :: atomic{ !tok -> assert(p[i]==ID); tok=1; tok_i=i; tok_w=ID; tok_in=1; in_=0; goto next }   /* hand_over() */
     :: skip
  fi;
#endif
#ifdef PLAIN
  atomic{ assert(p[i]==ID); buf[_pid]=i+1; in_=0 };   /* release: a store */
  if :: atomic{ SEEN(_pid) } :: skip fi;
  s=seq;
  if :: s&1 -> atomic{ SEEN(_pid) }; atomic{
#else
#ifdef MANY
  atomic{ if :: p[i]==ID -> p[i]=0; inside--; has-- :: else -> assert(0) fi };   /* release: CAS */
#else
  atomic{ if :: p[i]==ID -> p[i]=0; inside--; in_=0 :: else -> assert(0) fi };   /* release: CAS */
#endif
  s=seq;
  if :: s&1 -> atomic{
#endif
  seq=(seq+2)%32; s=seq };
     n=0; atomic{ if :: nsleep>0 -> if :: asleep[1] -> asleep[1]=0 :: asleep[2] -> asleep[2]=0 :: asleep[3] -> asleep[3]=0 fi; nsleep--; n=1 :: else fi };
     if :: n==0 -> atomic{ if :: seq==s -> seq=s&254; n=2 :: else fi }; if :: n==2 -> atomic{ asleep[1]=0;asleep[2]=0;asleep[3]=0; nsleep=0 } :: else fi
        :: else fi
     :: else fi;
next:
#ifdef MANY
  if :: has>0 -> i++; goto one :: else fi;
#endif
  rounds++; if :: rounds<RND -> goto again :: else fi;
#ifdef PLAIN
  atomic{ SEEN(_pid) };
#endif
done: skip
  } unless { kill[_pid] };
  if :: kill[_pid] -> atomic{ SEEN(_pid); if :: me>0 -> GIVER_ENDS :: else fi; if :: in_ -> inside--; in_=0 :: else fi; DIES_WITH_SEVERAL; if :: asleep[_pid] -> asleep[_pid]=0; nsleep-- :: else fi };
        atomic{ if :: me>0 && live[me-1]==t -> live[me-1]=0 :: else fi }; kill[_pid]=0; goto life
     :: else -> atomic{ if :: me>0 -> GIVER_ENDS :: else fi; if :: me>0 && live[me-1]==t -> live[me-1]=0 :: else fi }
  fi; running-- }
init{ byte i; atomic{ running=NT; run T(); run T();
#if NT>2
  run T();
#endif
 }
 do :: atomic{ deaths<MAXD && running>0 -> if :: kill[1]=1 :: kill[2]=1 
#if NT>2
 :: kill[3]=1
#endif
 fi; deaths++ }
    :: running==0 -> break od;
 i=0; do :: i<NPM -> assert(p[i]==0 || DEADW(p[i])); i++ :: else -> break od   /* nothing lost */
}
