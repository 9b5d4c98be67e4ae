/* The writer's sleep, and the wake of a reader that leaves: lib/shared/drain.cpp.
   The reader's unmarking store waits in a store buffer of one entry.

   Plain: a sleep that ends by itself makes up for the wake-up that is lost. That is the form of segments without membarrier.

   -DFENCE       the writer's membarrier before it sleeps, or an exchange that unmarks: no wake-up is lost
   -DNOSLICE     sleeps that do not end by themselves
   M_NOTHING     neither: a wake-up is lost, and the writer sleeps for ever
   M_STORE_GATE  the reader stores "closed" instead of exchanging it: it closes the gate of a free mutex */
#define NRD 2
byte gate; bool mark[NRD], buf[NRD], asleep; bool win; byte rin; byte done_;
proctype R(byte i){ byte g, k=0;
 do
 :: k<2 ->
    mark[i]=1;                       /* xchg */
    g=gate;
    if :: g!=0 -> skip :: else -> atomic{ rin++; assert(!win) }; atomic{ rin--; assert(!win) } fi;
#ifdef FENCE
    mark[i]=0;
#else
    buf[i]=1;                        /* store is in the buffer */
#endif
    g=gate;
    if :: g==3 ->
#ifdef M_STORE_GATE
          gate=1;
#else
          atomic{ if :: gate==3 -> gate=1 :: else fi };   /* locked: drains the buffer */
#endif
          mark[i]=0; buf[i]=0; asleep=0
       :: else fi;
    atomic{ if :: buf[i] -> mark[i]=0; buf[i]=0 :: else fi };   /* drained at the latest by the next locked instruction */
    k++
 :: k==2 -> break
 od; done_++ }
proctype B(byte i){ end: do :: atomic{ buf[i] -> mark[i]=0; buf[i]=0 } :: done_==3 -> break od }
proctype W(){ byte k=0; byte r;
 do
 :: k<2 ->
    gate=1;
    do
    :: gate=3;
       r=0; do :: r<NRD && !mark[r] -> r++ :: r<NRD && mark[r] -> break :: r==NRD -> break od;
       if :: r==NRD -> break :: else fi;
       atomic{ if :: gate==3 -> asleep=1 :: else fi };
#ifdef NOSLICE
       !asleep
#else
       asleep=0
#endif
    od;
    atomic{ gate=1; win=1; assert(rin==0) };
    atomic{ assert(rin==0); win=0 };
    gate=0;
    k++
 :: k==2 -> break
 od; assert(gate==0); done_++ }
init{ atomic{ run R(0); run R(1); run W(); run B(0); run B(1) }; done_==3; assert(gate==0) }
