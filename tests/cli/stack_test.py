#!/usr/bin/env python3
"""outlive stack shows where holders and waiters are.

Usage: stack_test.py OUTLIVE SHELF_WORKER PLUGIN BAD_PLUGIN..."""

import re
import sys

import report
from shelves import (
    PROBLEM_FOUND,
    SYSTEM_ERROR,
    rows,
    segment_name,
    tool,
    wait_until_in_hand,
    worker,
)


def functions(thread):
    return " ".join(frame["function"] or "" for frame in thread["frames"])


def holder_and_waiter_are_shown():
    with segment_name() as name, worker("hold", name, "holding") as holder, worker(
        "wait", name, "waiting"
    ) as waiter:
        found = {each["pid"]: each for each in wait_until_in_hand(name, 2)}
        report.expect(set(found) == {holder.pid, waiter.pid}, str(found))
        report.expect(
            found[holder.pid]["holds"] == ["screws"] and found[holder.pid]["waits_for"] is None,
            str(found),
        )
        report.expect(
            found[waiter.pid]["holds"] == [] and found[waiter.pid]["waits_for"] == "screws",
            str(found),
        )
        report.expect("hold_for_ever" in functions(found[holder.pid]), functions(found[holder.pid]))
        report.expect(
            "wait_for_the_shelf" in functions(found[waiter.pid]), functions(found[waiter.pid])
        )
        text, _ = tool("stack", name)
        report.expect(
            f"{holder.pid} shelf_worker, holds screws" in text
            and f"{waiter.pid} shelf_worker, waits for screws" in text,
            text,
        )
        report.expect(
            re.search(r"#\d+ +.*hold_for_ever at [^ ]*shelf_worker.cpp:\d+$", text, re.MULTILINE),
            text,
        )
        # What the program itself did is between two lines for the libraries' frames.
        waits = text[text.index(f"{waiter.pid} shelf_worker, waits") :].split("\n\n")[0]
        lines = waits.splitlines()[1:]
        report.expect(re.match(r" +#0-\d+ .*\(and what it called\)$", lines[0]), waits)
        report.expect("wait_for_the_shelf at " in lines[1], waits)
        report.expect("native_mutex" not in waits and "futex" not in waits, waits)
        every, _ = tool("stack", name, "--all-frames")
        report.expect("native_mutex" in every and "what it called" not in every, every)
        # It has no source here, and libdw knows a line near by.
        report.expect(not re.search(r"_start at .*(shelf_worker|outlive)", text), text)


def one_mutex_or_one_process():
    with segment_name() as name, worker("hold", name, "holding") as holder, worker(
        "free", name, "free"
    ) as other:
        for of, expected in [("screws", [holder.pid]), (holder.pid, [holder.pid])]:
            found = [each["pid"] for each in rows(tool("stack", name, of, "--json")[0])]
            report.expect(
                found == expected, f"{of}: {found}, expected {expected}, other {other.pid}"
            )


def nothing_of_that_name():
    tool("stack", "no-such-segment-of-this-test", code=SYSTEM_ERROR)
    with segment_name() as name, worker("free", name, "free"):
        _, error = tool("stack", name, "nails", code=PROBLEM_FOUND)
        report.expect('"nails"' in error, error)
        _, error = tool("stack", name, "1", code=PROBLEM_FOUND)
        report.expect('"1"' in error, error)
        report.expect(rows(tool("stack", name, "--json")[0]) == [], "nobody holds or waits")


sys.exit(
    report.run(
        [
            ("stack.holder_and_waiter_are_shown", holder_and_waiter_are_shown),
            ("stack.one_mutex_or_one_process", one_mutex_or_one_process),
            ("stack.nothing_of_that_name", nothing_of_that_name),
        ]
    )
)
