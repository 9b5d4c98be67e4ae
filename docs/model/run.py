#!/usr/bin/env python3
"""Check the models of the protocols with spin, exhaustively.

Usage: run.py [--full | --quick] [--jobs N] [--only WORD]...

For each configuration: spin -a, cc, pan. One of three things is expected:

  holds   the search is complete and finds no error
  mutant  one rule of the protocol is taken away, and the search finds an error: a model that does
          not find the faults that are put into it on purpose proves nothing
  limit   a case that the protocol does not cover, and says so (docs/limits.md): the search finds an
          error

Prints a line for each: "PASS: model.NAME: ..." or "FAIL: model.NAME: why". Exit: 0 if all passed, 1
if not, 77 without spin.

  --full       the big configurations too (long, and up to 16 GiB)
  --quick      without the longest searches, which are most of the work: they are named in a last
               line. Also with OUTLIVE_QUICK_MODELS in the environment
  --jobs N     as many at a time (default 2)
  --only WORD  those whose name contains WORD
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
MEMORY_MB = {False: 900, True: 16000}
SECONDS = {False: 1800, True: 7200}

# Name, options. Each is searched completely.
HOLDS = {
    "lock.pml": [
        ("lock", "-DRECORDS=2"),
        ("lock_pressure", "-DRECORDS=1"),
        ("lock_supervisor", "-DRECORDS=2 -DRECOVERS=1 -DFOREIGN=1"),
        ("lock_supervisor_pressure", "-DRECORDS=1 -DRECOVERS=1"),
        ("lock_orphans", "-DRECORDS=1 -DSPARES=2 -DDEATHS=1 -DLOST=1"),
        ("lock_orphans_supervisor", "-DRECORDS=2 -DSPARES=2 -DDEATHS=1 -DLOST=2 -DRECOVERS=1"),
    ],
    "adopt.pml": [
        ("adopt", "-DROUNDS=3 -DDEATHS=0"),
        ("adopt_id_reused_twice", "-DROUNDS=2 -DDEATHS=0 -DTWICE=1"),
        ("adopt_orphans", "-DROUNDS=1 -DLOST=1"),
        ("adopt_hidepid", "-DROUNDS=1 -DHIDDEN=1"),
        ("adopt_moves", "-DROUNDS=2 -DDEATHS=0 -DMOVES=1"),
    ],
    "internal.pml": [
        ("internal", "-DROUNDS=2"),
        ("internal_id_reused_twice", "-DROUNDS=2 -DTWICE=1"),
        ("internal_orphans", "-DROUNDS=1 -DDEATHS=1 -DLOST=1"),
    ],
    "claim.pml": [("claim", "")],
    "held.pml": [("held", "")],
    "condition.pml": [
        ("condition", "-DNC=2 -DNPR=2 -DALL"),
        ("condition_deaths", "-DNC=2 -DNPR=2 -DDEATH=1 -DMOD=8"),
    ],
    "shared.pml": [("shared", "-DNP=2 -DNR=2 -DMAXD=1 -DRND=2")],
    "drain.pml": [("drain", ""), ("drain_membarrier", "-DFENCE -DNOSLICE")],
    "permit.pml": [
        ("permit", "-DNT=2 -DNR=2 -DMAXD=0"),
        ("permit_deaths", "-DNT=2 -DNR=2 -DMAXD=1 -DSLICE"),
        ("permit_hand_over", "-DNT=2 -DNR=2 -DMAXD=0 -DSLICE -DHAND"),
        ("permit_hand_over_deaths", "-DNT=2 -DNR=2 -DMAXD=1 -DSLICE -DHAND"),
        ("permit_many", "-DNT=2 -DNR=2 -DNPM=2 -DMAXD=0 -DMANY"),
        ("permit_many_deaths", "-DNT=2 -DNR=2 -DNPM=2 -DMAXD=1 -DSLICE -DMANY -DRND=1"),
        ("permit_plain", "-DNT=2 -DNR=2 -DMAXD=0 -DPLAIN"),
        ("permit_plain_deaths", "-DNT=2 -DNR=2 -DMAXD=1 -DSLICE -DPLAIN"),
    ],
    "deathlog.pml": [("deathlog", "-DDEATHS=1"), ("deathlog_two_deaths", "-DDEATHS=2")],
    "queue.pml": [
        ("queue", "-DNC=2 -DTRIES=1"),
        ("queue_give_back", "-DNC=1 -DNR=2 -DNS=2 -DNJ=3 -DGIVE_BACK"),
        ("queue_give_back_deaths", "-DNC=1 -DNR=2 -DMAXD=1 -DSLICE -DGIVE_BACK"),
        ("queue_close", "-DNC=2 -DTRIES=1 -DCLOSE"),
        ("queue_deaths", "-DNC=1 -DNR=2 -DMAXD=2 -DSLICE"),
        ("queue_watched", "-DNC=1 -DNR=2 -DMAXD=1 -DWATCH"),
        ("queue_delay", "-DNC=2 -DNJ=1 -DTRIES=1 -DDELAY"),
        ("queue_delay_deaths", "-DNC=1 -DNR=2 -DNJ=1 -DMAXD=1 -DSLICE -DDELAY"),
        ("queue_plain", "-DNC=2 -DTRIES=1 -DPLAIN"),
        ("queue_plain_close", "-DNC=2 -DNJ=1 -DTRIES=1 -DPLAIN -DCLOSE"),
        ("queue_plain_deaths", "-DNC=1 -DNR=2 -DMAXD=1 -DSLICE -DPLAIN"),
        ("queue_hand_over", "-DNC=1 -DNR=2 -DHAND"),
        ("queue_hand_over_deaths", "-DNC=1 -DNR=2 -DNJ=1 -DMAXD=1 -DSLICE -DHAND"),
    ],
    "queue_order.pml": [
        ("queue_order", "-DNP=2 -DNC=1"),
        ("queue_order_rounds", "-DNP=1 -DNC=1 -DNS=4 -DNJ=8"),
        ("queue_order_consumers", "-DNP=1 -DNC=2 -DNJ=3"),
        ("queue_order_two_of_each", "-DNP=2 -DNC=2 -DNJ=1"),
    ],
    "queue_limit.pml": [
        ("queue_limit", "-DMORE=2"),
        ("queue_limit_deaths", "-DMAXD=2"),
        ("queue_limit_hand_over", "-DMORE=2 -DHAND"),
        ("queue_limit_hand_over_deaths", "-DMORE=2 -DMAXD=1 -DHAND"),
        ("queue_limit_three_consumers", "-DNC=3"),
    ],
}
# Of these, the longest searches: what --quick leaves out. Some of each model stay.
LONG = {
    "lock",
    "lock_pressure",
    "lock_supervisor",
    "lock_orphans",
    "adopt",
    "adopt_id_reused_twice",
    "adopt_hidepid",
    "adopt_moves",
    "internal_id_reused_twice",
    "condition_deaths",
    "permit_deaths",
    "permit_hand_over_deaths",
    "permit_many_deaths",
    "permit_plain_deaths",
    "queue_close",
    "queue_deaths",
    "queue_delay",
    "queue_give_back_deaths",
    "queue_hand_over_deaths",
    "queue_limit_three_consumers",
    "queue_order",
    "queue_order_rounds",
    "queue_order_two_of_each",
    "queue_plain",
    "queue_plain_deaths",
    "queue_watched",
}
FULL = {
    "lock.pml": [
        ("lock_three_deaths", "-DRECORDS=1 -DDEATHS=3 -DATTEMPTS=3"),
        ("lock_three_records", "-DRECORDS=3"),
        ("lock_two_rounds", "-DRECORDS=2 -DROUNDS=2"),
        ("lock_three_threads", "-DRECORDS=2 -DWORKERS=3 -DDEATHS=1"),
        ("lock_two_spares", "-DRECORDS=1 -DSPARES=2"),
    ],
    "adopt.pml": [
        ("adopt_two_rounds", "-DROUNDS=2"),
        ("adopt_two_deaths", "-DROUNDS=1 -DDEATHS=2 -DLOST=1"),
    ],
    "condition.pml": [("condition_three_producers", "-DNC=2 -DNPR=3")],
    "shared.pml": [("shared_two_deaths", "-DNP=2 -DNR=3 -DMAXD=2 -DRND=2")],
    "permit.pml": [("permit_two_deaths", "-DNT=2 -DNR=2 -DMAXD=2 -DSLICE")],
    "queue.pml": [("queue_two_consumers_and_deaths", "-DNC=2 -DNJ=1 -DMAXD=1 -DSLICE")],
    "queue_limit.pml": [("queue_limit_hand_over_claimer", "-DNC=3 -DNJ=1 -DMAXD=1 -DHAND")],
}
# Name, options, the rule that is taken away.
MUTANTS = {
    "lock.pml": [
        ("TWO_STORES", "-DRECORDS=1", "U4: holder and condition change in one store"),
        ("NO_SECOND_TEST", "-DRECORDS=1", "U2: a claim tests again once it has the liveness mutex"),
        (
            "IDENTITY_BEFORE_TEST",
            "-DRECORDS=1",
            "U2: the claimer writes only after its second test",
        ),
        ("NO_GENERATION", "-DRECORDS=1", "U2: each claim has its own generation"),
        ("NAME_BEFORE_GENERATION", "-DRECORDS=2", "U2: the generation changes before the name"),
        (
            "NAME_WITHOUT_GENERATION",
            "-DRECORDS=1",
            "U4: a report reads the generation before and after the name",
        ),
        (
            "NO_WORD_TEST",
            "-DRECORDS=1 -DSPARES=2 -DDEATHS=1 -DLOST=1",
            "U2: the native word, too, makes an entry pending",
        ),
        ("NO_SPARES", "-DRECORDS=1 -DSPARES=0", "U3: spare records are kept for recovery"),
        (
            "NO_RELEASE",
            "-DRECORDS=1",
            "U3: the origin of an unrepaired lock is given up under pressure",
        ),
        ("STORE_BEFORE_OWNER_TEST", "-DRECORDS=1 -DFOREIGN=1", "U1: unlock asks before it stores"),
        ("CONSISTENT_BEFORE_REPAIR", "-DRECORDS=1", "U4: the evidence goes after the repair"),
        ("HEIR_UNNAMED", "-DRECORDS=1", "U4: the heir names itself while it repairs"),
        ("FORGET_ORIGIN", "-DRECORDS=1", "U4: a failed repair leaves the dead owner's name"),
        ("ALWAYS_REPAIR", "-DRECORDS=1", "U4: EOWNERDEAD of a consistent lock needs no repair"),
        ("RECOVER_ENTERS", "-DRECORDS=1", "U4: recover() stops before it enters"),
        ("CHILD_STORES", "-DRECORDS=1", "U5: a child forked in a repair touches nothing"),
        ("ASK_LIVENESS", "-DRECORDS=2", "U7: EOWNERDEAD alone proves the death"),
        ("COUNT_LOOKUP", "-DRECORDS=1", "U8: attempts count started callbacks only"),
        ("NO_NATIVE_CONSISTENT", "-DRECORDS=1", "U8: native consistent before native unlock"),
        ("PUSH_AFTER_HOLDER", "-DRECORDS=1", "U10: the entry is there before the holder is"),
        ("POP_BEFORE_CLEAR", "-DRECORDS=1", "U10: the entry goes after the holder"),
    ],
    "adopt.pml": [
        ("NO_ADOPTION_MUTEX", "-DDEATHS=0 -DROUNDS=1", "U6: one adopter at a time"),
        (
            "HOLDER_FIRST",
            "-DDEATHS=0 -DROUNDS=1",
            "U6: a living bearer of the TID is looked for, even if the holder is dead",
        ),
        (
            "BEARER_IGNORED",
            "-DDEATHS=0 -DROUNDS=1",
            "U6: a living bearer that names the lock may have it",
        ),
        (
            "ONE_LOOK",
            "-DDEATHS=0",
            "U6: the living bearers are looked at before and after the word",
        ),
        (
            "NO_COUNT",
            "-DDEATHS=0 -DROUNDS=3",
            "U6: both looks must see the same bearers and counts",
        ),
        (
            "SCAN_UPWARDS",
            "-DDEATHS=0 -DROUNDS=1 -DMOVES=1",
            "U6: a held list is looked through from its end down, as entries move",
        ),
        (
            "TRUST_EDEADLK",
            "-DDEATHS=0 -DROUNDS=1",
            "U6: EDEADLK for a lock that one does not hold is an orphan",
        ),
        ("STORE", "-DROUNDS=1", "U6: the mark is a CAS"),
        (
            "ABSENT_IS_DEAD",
            "-DDEATHS=0 -DROUNDS=1 -DHIDDEN=1",
            "U6: an absent /proc entry proves nothing",
        ),
    ],
    "claim.pml": [
        ("START_TIME_ALONE", "", "U6: a claimer that has not yet written its identity is no orphan")
    ],
    "held.pml": [
        ("COUNT_LAST", "", "U10: the place is counted before it is written"),
        ("MOVE_BEFORE_COPY", "", "U10: the last entry is copied over a gap, then removed"),
        ("COPY_PLACE_FIRST", "", "U10: the address is copied before the entry counts"),
        ("TOP_BEFORE_EMPTY", "", "U10: a place is emptied before it is free"),
        ("POP_BEFORE_UNLOCK", "", "U10: the entry goes after the native unlock"),
    ],
    "condition.pml": [
        ("NO_SECOND_WAKE", "-DNC=3 -DNPR=3", "a cleared bit is followed by a wake of all"),
        ("CLEAR_BIT", "-DNC=3 -DNPR=3", "the bit stays when one of several sleepers was woken"),
        ("MARK_LATE", "-DNC=3 -DNPR=3", "a waiter marks the bit while it holds the mutex"),
    ],
    "shared.pml": [
        (
            "LOOK_BEFORE_MARK",
            "-DNP=2 -DNR=2 -DMAXD=1 -DRND=2",
            "a reader marks itself before it looks at the gate",
        ),
        (
            "NAME_BEFORE_DRAIN",
            "-DNP=2 -DNR=3 -DMAXD=2 -DRND=2",
            "a writer names itself after the drain",
        ),
        ("KEEP_MARKS", "-DNP=2 -DNR=2 -DMAXD=1 -DRND=2", "a claim empties the marks"),
        (
            "SKIP_DRAIN",
            "-DNP=2 -DNR=3 -DMAXD=2 -DRND=2",
            "the drain is made whoever closed the gate",
        ),
        ("OPEN_EARLY", "-DNP=2 -DNR=2 -DMAXD=1 -DRND=2", "the gate opens after the state is free"),
        (
            "MARK_LATE",
            "-DNP=2 -DNR=2 -DMAXD=1 -DRND=2",
            "a reader marks itself before it gives the writers' mutex back",
        ),
        (
            "COUNT_LATE",
            "-DNP=2 -DNR=2 -DMAXD=1 -DRND=2",
            "a record is counted before its first mark",
        ),
        (
            "DOWNGRADE_LATE",
            "-DNP=2 -DNR=2 -DMAXD=1 -DRND=2",
            "a writer that downgrades marks itself before it gives the writers' mutex back",
        ),
        ("TRUST_MARKS", "-DNP=2 -DNR=2 -DMAXD=1 -DRND=2", "marks of the dead are void"),
        (
            "OPEN_ON_ERROR",
            "-DNP=2 -DNR=2 -DMAXD=1 -DRND=2",
            "the gate stays closed while the state is not consistent",
        ),
    ],
    "internal.pml": [
        (
            "BEARER_DEAD",
            "-DROUNDS=1",
            "U6: a living thread with the dead one's id may have the lock",
        ),
        ("NAMED_LATE", "-DROUNDS=1", "U6: an entrant is named before its native lock"),
        ("UNNAMED_EARLY", "-DROUNDS=2", "U6: an entrant is named until after its native unlock"),
        (
            "NO_SECOND_LOOK",
            "-DROUNDS=2",
            "U6: two looks at the entrants, and at the word in between",
        ),
        ("COUNT_UNREAD", "-DROUNDS=3", "U6: the lock's acquisitions are the same at both looks"),
        ("SEVERAL_ADOPTERS", "-DROUNDS=1", "U6: one adopts at a time"),
    ],
    "drain.pml": [
        ("NOTHING", "-DNOSLICE", "a plain store that unmarks needs a sleep that ends by itself"),
        ("STORE_GATE", "-DFENCE -DNOSLICE", "a reader that leaves exchanges the gate"),
    ],
    "permit.pml": [
        (
            "RECORD_ONLY",
            "-DNT=2 -DNR=2 -DMAXD=2 -DSLICE",
            "a permit names its holder's life, not only its record",
        ),
        (
            "TAKE_BY_STORE",
            "-DNT=2 -DNR=2 -DMAXD=2 -DSLICE",
            "a dead holder's permit is taken over by an exchange",
        ),
        (
            "HAND_BY_STORE",
            "-DNT=2 -DNR=2 -DMAXD=1 -DSLICE -DHAND",
            "a permit on its way is taken by an exchange",
        ),
        (
            "NO_TURN",
            "-DNT=2 -DNR=2 -DNPM=2 -DMAXD=0 -DMANY",
            "one thread at a time collects several permits",
        ),
        ("LOOK_FIRST", "-DNT=2 -DNR=2 -DMAXD=0", "a waiter looks after it has marked the bit"),
        (
            "NO_BARRIER",
            "-DNT=2 -DNR=2 -DMAXD=0 -DPLAIN",
            "a waiter makes plain stores visible before its last look",
        ),
    ],
    "deathlog.pml": [
        ("TAKE_LIVING", "", "a busy slot is left to a writer that lives"),
        ("NO_BUSY", "", "a slot is taken by an exchange that names its writer"),
        ("OUTCOME_BY_STORE", "", "the outcome is stored by an exchange from what the entry says"),
        ("READ_ONCE", "", "a reader looks at the number before and after"),
    ],
    "queue.pml": [
        (
            "JOB_TAKE_BY_STORE",
            "-DNC=2 -DNJ=1 -DMAXD=1 -DSLICE",
            "a dead worker's job is taken over by an exchange",
        ),
        ("JOB_LOOK_FIRST", "-DNC=2 -DTRIES=1", "a waiter looks after it has marked the bit"),
        (
            "JOB_HAND_BY_STORE",
            "-DNC=1 -DNR=2 -DNJ=1 -DMAXD=1 -DSLICE -DHAND",
            "a job on its way is taken by an exchange",
        ),
        ("CLOSE_WAKES_NOBODY", "-DNC=2 -DTRIES=1 -DCLOSE", "the end of a closed queue wakes all"),
        (
            "DONE_NO_BARRIER",
            "-DNC=2 -DTRIES=1 -DPLAIN",
            "a producer calls membarrier between its mark and its look",
        ),
        (
            "DELAY_ONE_LOOK",
            "-DNC=2 -DNJ=1 -DTRIES=1 -DDELAY",
            "who leases a delayed job looks at its time once more",
        ),
        (
            "DELAY_TIME_LAST",
            "-DNC=2 -DNJ=1 -DTRIES=1 -DDELAY",
            "the time comes before the state by which it counts",
        ),
        (
            "NAME_LATE",
            "-DNC=1 -DNR=2 -DMAXD=1 -DWATCH",
            "a sleeper names the queue before its mark",
        ),
        (
            "HALF_CLAIMED",
            "-DNC=1 -DNR=2 -DMAXD=1 -DWATCH",
            "who had a record is dead while another thread claims it",
        ),
        ("PUBLISH_FIRST", "-DNC=1 -DNR=2", "a slot is ready once the job is in it"),
        (
            "FREE_THE_DEAD",
            "-DNC=1 -DNR=2 -DMAXD=1 -DSLICE",
            "what a dead worker had is a job, and no empty slot",
        ),
    ],
    "queue_order.pml": [
        ("PASS_UNCOUNTED", "-DNP=2 -DNC=1", "J6: a consumer counts slots in work that it passes"),
        ("LATE_UNSEEN", "-DNP=2 -DNC=1", "J6: a producer that is late looks at head"),
        (
            "PASS_UNCHECKED",
            "-DNP=2 -DNC=1",
            "J6: who moves head over slots looks at them again afterwards",
        ),
        ("HEAD_ONCE", "-DNP=2 -DNC=1", "J6: head is looked at before and after the job at head"),
        ("TAIL_AFTER_JOB", "-DNP=2 -DNC=1", "tail comes before the job"),
        ("NO_LAP", "-DNP=1 -DNC=1 -DNS=3 -DNJ=5", "jobs are leased in the order of their laps"),
    ],
    "queue_limit.pml": [
        ("NO_CLAIM", "-DMAXD=1", "L2: a lease that is over is claimed before its state changes"),
        ("CLOCK_EARLY", "-DMAXD=1", "L1: the clock is the last that pop stores in the slot"),
        ("NOTE_RUNNING", "-DMAXD=1", "L1: a holder stops the clock before it stores anything"),
        ("DONE_BY_STATE", "-DMAXD=1", "L1: a holder stops the clock before it ends its lease"),
        ("ANY_TRY", "-DMAXD=1", "L3: a clock counts for the try that it names"),
        ("SAME_TIME", "-DMAXD=1", "L1: no two leases of a slot have the same clock"),
        ("MARK_TRY_LATE", "-DMAXD=1", "L4: a try ended by a claim is marked before the next clock"),
        ("LETTER_CLOCK", "-DMAXD=1", "L3: who has a dead letter stops what clock there is"),
        ("CLAIM_FOR_EVER", "-DMAXD=1", "L2: the claim of a dead thread counts no more"),
        ("STALE_STATE", "-DNC=3", "L2: a claimer reads the state again after the clock"),
        ("TAKE_SAME_CLOCK", "-DHAND", "L1: who takes a lease starts another clock"),
    ],
}
LIMITS = {
    "adopt.pml": [
        (
            "KILLED_AT_ITS_OWN_ORPHAN",
            "-DROUNDS=1 -DTWICE=1",
            "a reused TID's bearer is killed in lock() of the orphan, and the TID is reused again",
        ),
    ],
}


def plan(full):
    """(name, model, options, kind, what)"""
    for model, entries in HOLDS.items():
        yield from ((name, model, options.split(), "holds", options) for name, options in entries)
    if full:
        for model, entries in FULL.items():
            yield from (
                (name, model, options.split(), "holds", options) for name, options in entries
            )
    for model, entries in MUTANTS.items():
        for name, options, rule in entries:
            yield name.lower(), model, options.split() + ["-DM_" + name], "mutant", rule
    for model, entries in LIMITS.items():
        yield from (
            (name.lower(), model, options.split(), "limit", what) for name, options, what in entries
        )


def search(model, options, kind, full):
    """The output of the search; raises RuntimeError if it could not be made."""
    with tempfile.TemporaryDirectory(prefix="outlive-model-") as folder:

        def run(command, seconds=600):
            return subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=seconds,
            )

        optimise = "-O2" if kind == "holds" else "-O0"
        for command in (
            ["spin", "-a", *options, str(HERE / model)],
            [
                "cc",
                optimise,
                "-w",
                "-DSAFETY",
                "-DCOLLAPSE",
                f"-DMEMLIM={MEMORY_MB[full]}",
                "-o",
                "pan",
                "pan.c",
            ],
        ):
            done = run(command)
            if done.returncode or not done.stdout.isspace() and "rror" in done.stdout:
                raise RuntimeError(f"{command[0]}: {done.stdout.strip()}")
        return run(["./pan", "-m100000"], SECONDS[full]).stdout


def judge(output, kind):
    """(None or what is wrong, states, MB)"""
    errors = re.search(r"errors: (\d+)", output)
    states = re.search(r"^\s*([\d.e+]+) states, stored", output, re.MULTILINE)
    memory = re.search(r"^\s*([\d.]+)\s+total actual memory", output, re.MULTILINE)
    if not errors or not states:
        return "the search did not end", 0, 0
    count, used = int(float(states.group(1))), float(memory.group(1)) if memory else 0
    found = int(errors.group(1)) > 0
    if kind != "holds":
        # An assertion or a stuck thread, not a fault of the model or of the search.
        real = re.search(r"assertion violated|invalid end state", output)
        return (
            (None if found and real else "no error was found, but this one has an error"),
            count,
            used,
        )
    if found:
        return re.search(r"^pan:\d+: .*$", output, re.MULTILINE).group(0), count, used
    if re.search(
        r"max search depth too small|not completed|MEMLIM|out of memory|VECTORSZ",
        output,
        re.IGNORECASE,
    ):
        return "the search is not complete", count, used
    return None, count, used


def check(entry, full):
    name, model, options, kind, what = entry
    began = time.monotonic()
    output, states, used = "", 0, 0
    try:
        output = search(model, options, kind, full)
        trouble, states, used = judge(output, kind)
    except (RuntimeError, subprocess.TimeoutExpired, OSError) as error:
        trouble = str(error)
    seconds = time.monotonic() - began
    text = f"{states:,} states, {used:.0f} MB, {seconds:.1f} s"
    if trouble:
        shown = "".join(f"  | {line}\n" for line in output.splitlines()[:25])
        print(
            f"{shown}FAIL: model.{name}: {trouble} ({model} {' '.join(options)}; {text})",
            flush=True,
        )
        return False
    if kind == "holds":
        print(f"PASS: model.{name}: holds ({model} {' '.join(options)}; {text})", flush=True)
    else:
        print(f"PASS: model.{name}: {kind}, its error was found ({what}; {text})", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true")
    by_default = "OUTLIVE_QUICK_MODELS" in os.environ
    parser.add_argument("--quick", action="store_true", default=by_default)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", action="append", default=[])
    asked = parser.parse_args()
    left_out = LONG if asked.quick and not asked.full else set()
    unknown = LONG - {name for name, _, _, kind, _ in plan(False) if kind == "holds"}
    if unknown:
        sys.exit(f"LONG names what is no configuration: {' '.join(sorted(unknown))}")
    bare = [model for model, searches in HOLDS.items() if {name for name, _ in searches} <= LONG]
    if bare:
        sys.exit(f"LONG leaves no search of {' '.join(bare)}")
    entries = [
        entry
        for entry in plan(asked.full)
        if entry[0] not in left_out
        and (not asked.only or any(word in entry[0] for word in asked.only))
    ]
    if not entries:
        sys.exit("no configuration has such a name")
    missing = [tool for tool in ("spin", "cc") if not shutil.which(tool)]
    if missing:
        print(f"SKIP: model.all: not installed: {' '.join(missing)} (Debian packages spin, gcc)")
        return 77
    with ThreadPoolExecutor(max_workers=max(1, asked.jobs)) as pool:
        passed = list(pool.map(lambda entry: check(entry, asked.full), entries))
    print(f"{sum(passed)} of {len(passed)} passed")
    if left_out:
        print(f"left out, as they take long: {' '.join(sorted(left_out))}")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
