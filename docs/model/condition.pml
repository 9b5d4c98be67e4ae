/* The condition variable: docs/protocol.md, "Condition variable".
   lib/companions/wait_word.cpp, robust_condition_variable.hpp, detail/wait_loop.hpp.

   NC consumers wait for items, NPR producers make one each. Without -DDEATH nobody dies and there are no slices: then nobody may be left asleep (an
   invalid end state). With -DDEATH=n threads die anywhere, a sleep may end by itself (a slice), and nobody may hang.

   M_NO_SECOND_WAKE  notify_one clears the bit and does not wake once more
   M_CLEAR_BIT       notify_one always clears the bit
   M_MARK_LATE       a waiter marks the bit after it has released the mutex */
#ifndef NC
#define NC 2
#endif
#ifndef NPR
#define NPR 2
#endif
#ifndef MOD
#define MOD 16
#endif
#define OD 99
byte word; byte seq; byte items; bool asleep[10]; byte nsleep; byte fin_; byte deaths; bool kill[10]; byte lost;
inline lock(){ atomic{ (word==0||word==OD) -> word=_pid } }
inline unlock(){ word=0 }
inline wake1(){ n=0; atomic{ if :: (nsleep>0) -> if 
   :: asleep[1] -> asleep[1]=0 :: asleep[2] -> asleep[2]=0 
#if NC>2
   :: asleep[3] -> asleep[3]=0
#endif
   fi; nsleep--; n=1 :: else fi } }
inline wakeall(){ atomic{ asleep[1]=0; asleep[2]=0; asleep[3]=0; nsleep=0 } }
inline notify_one(){
   s=seq;
   if :: !(s&1) -> skip
      :: else ->
         atomic{ seq=(seq+2)%MOD; s=seq };
#ifdef M_CLEAR_BIT
         atomic{ seq=seq & 254 };
#endif
         wake1();
#ifndef M_CLEAR_BIT
         if :: n==0 -> atomic{ if :: seq==s -> seq=s & 254; n=2 :: else fi };
#ifndef M_NO_SECOND_WAKE
               if :: n==2 -> wakeall() :: else fi
#endif
            :: else fi
#endif
   fi }
inline notify_all(){ s=seq; if :: !(s&1) -> skip :: else -> atomic{ seq=((seq+2)%MOD) & 254 }; wakeall() fi }
proctype Cons(){ byte s, n; bool slept;
life:
  { skip;
  lock();
  do
  :: atomic{ items>0 -> items-- }; break
  :: items==0 ->
#ifdef M_MARK_LATE
     unlock();
     atomic{ seq=seq|1; s=seq };
#else
     atomic{ seq=seq|1; s=seq };
     unlock();
#endif
     atomic{ if :: seq==s -> asleep[_pid]=1; nsleep++ :: else fi };
#ifdef DEATH
     if :: !asleep[_pid] :: atomic{ asleep[_pid] -> asleep[_pid]=0; nsleep-- } fi;   /* a slice */
#else
     !asleep[_pid];
#endif
     lock()
  od;
  unlock();
  } unless { kill[_pid] };
  if :: kill[_pid] -> atomic{ if :: asleep[_pid] -> asleep[_pid]=0; nsleep-- :: else fi; if :: word==_pid -> word=OD :: else fi }; kill[_pid]=0; lost++
     :: else fi;
  fin_++ }
proctype Prod(){ byte s, n; 
  { skip;
  lock(); 
  items++;
  if :: unlock(); notify_one() :: notify_one(); unlock() 
#ifdef ALL
     :: unlock(); notify_all()
#endif
  fi
  } unless { kill[_pid] };
  if :: kill[_pid] -> atomic{ if :: word==_pid -> word=OD :: else fi }; kill[_pid]=0 ; items++ /* an heir or supervisor does its work */
     :: else fi;
  fin_++ }
init{
  atomic{ run Cons(); run Cons();
#if NC>2
  run Cons();
#endif
  run Prod(); run Prod();
#if NPR>2
  run Prod();
#endif
  }
#ifdef DEATH
  do
  :: atomic{ deaths<DEATH && fin_<NC+NPR -> if :: kill[1]=1 :: kill[2]=1 :: kill[3]=1 :: kill[4]=1 fi; deaths++ }
  :: fin_==NC+NPR -> break
  od
#else
  fin_==NC+NPR
#endif
}
