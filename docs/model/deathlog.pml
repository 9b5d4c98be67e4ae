/* The death log: one slot, through which the ring goes round with each number. Writers take it, store two pieces of an entry, publish it, and say
 * later how the repair ended; any of them may be stopped anywhere, or die. A reader looks at any time.
 *
 * Rules that can be taken away:
 *   M_TAKE_LIVING       a busy slot is left to a writer that lives
 *   M_NO_BUSY           the slot is taken by an exchange that names its writer (here: 0 is stored, as a seqlock does)
 *   M_OUTCOME_BY_STORE  the outcome is stored by an exchange from what the entry says
 *   M_READ_ONCE         a reader looks at the number before and after
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

byte number;          /* the slot's word: the number ... */
byte busy;            /* ... and 0, or the writer that has it */
byte piece[2];        /* of the entry: its number, where they are whole */
byte result, ended;   /* one word: the number it is of, and whether the repair ended */
byte given;           /* numbers */
bool dead[WRITERS + 1];
byte deaths;
byte done;

inline may_die(me) {
  if
  :: deaths < DEATHS -> atomic { deaths++; dead[me] = true; done++ }; goto end
  :: true
  fi
}

proctype Writer(byte me) {
  byte mine, seen, who, tries;
again:
  tries++;
  if
  :: tries > 2 -> goto out
  :: else
  fi;
  d_step { given++; mine = given };
look:
  may_die(me);
  d_step { seen = number; who = busy };
  if
  :: seen > mine -> goto again
  :: else
  fi;
#if !defined(M_TAKE_LIVING) && !defined(M_NO_BUSY)
  if
  :: who != 0 && !dead[who] -> goto again
  :: else
  fi;
#endif
  may_die(me);
#ifdef M_NO_BUSY
  number = 0;
#else
  if
  :: atomic { number == seen && busy == who -> number = mine; busy = me }
  :: atomic { else -> goto look }
  fi;
#endif
  may_die(me);
  piece[0] = mine;
  may_die(me);
  piece[1] = mine;
  may_die(me);
  d_step { result = mine; ended = 0 };
  may_die(me);
#ifdef M_NO_BUSY
  number = mine;
#else
  if
  :: atomic { number == mine && busy == me -> busy = 0 }
  :: atomic { else -> goto out }
  fi;
#endif
  may_die(me);
#ifdef M_OUTCOME_BY_STORE
  if
  :: number == mine -> d_step { result = mine; ended = 1 }
  :: else
  fi;
#else
  if
  :: d_step { result == mine && ended == 0 -> ended = 1 }
  :: else
  fi;
#endif
out:
  done++;
end:
  skip
}

proctype Reader() {
  byte seen, first, second, its, who;
  d_step { seen = number; who = busy };
  if
  :: seen == 0 || who != 0 -> goto end
  :: else
  fi;
  first = piece[0];
  second = piece[1];
  its = result;
#ifndef M_READ_ONCE
  if
  :: d_step { number != seen || busy != 0 -> skip }; goto end
  :: else
  fi;
#endif
  if
  :: its != seen -> goto end  /* a result of another lap: left out */
  :: else
  fi;
  assert(first == seen && second == seen);
end:
  skip
}

init {
  byte i;
  atomic {
    for (i : 1 .. WRITERS) { run Writer(i) };
    run Reader();
  }
  /* In the end the slot is a dead writer's, or a whole entry. */
  done == WRITERS;
  assert(number == 0 || (busy != 0 && dead[busy]) || (busy == 0 && piece[0] == number && piece[1] == number && result == number));
}
