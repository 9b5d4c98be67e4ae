#!/usr/bin/env python3
"""outlive recover and reset, with the repairs of a library.

Usage: recover_test.py OUTLIVE SHELF_WORKER PLUGIN BAD_PLUGIN..."""

import random
import subprocess
import sys
import time

import report
from shelves import (
    BAD,
    FAILS,
    SUCCESS,
    NO_FUNCTION,
    OTHER_VERSION,
    PLUGIN,
    SECONDS,
    PROBLEM_FOUND,
    SYSTEM_ERROR,
    THROWS,
    TOOL,
    USAGE_ERROR,
    check,
    die_holding,
    rows,
    segment_name,
    tool,
    worker,
)


def recovers_with_the_repairs_of_a_library():
    with segment_name() as name:
        pid = die_holding(name)
        [line] = rows(tool("recover", name, "--repairs", PLUGIN, "--json")[0])
        report.expect(
            (line["mutex"], line["lock_class"], line["pid"], line["outcome"])
            == ("screws", "shelf", pid, "repaired"),
            str(line),
        )
        report.expect(check(name) == "1 boxes", "the box is gone")
        report.expect(
            rows(tool("recover", name, "--json")[0]) == [], "a second recovery finds nothing"
        )


def table(text, pid):
    return [" ".join(line.split()) for line in text.replace(str(pid), "PID").splitlines()]


def people_get_a_table():
    with segment_name() as name:
        pid = die_holding(name)
        text, _ = tool("recover", name, "--dry-run", code=PROBLEM_FOUND)
        report.expect(
            table(text, pid)
            == [
                "MUTEX CLASS PID OUTCOME ERROR",
                "screws shelf PID would be recovered (owner died) -",
            ],
            text,
        )
        text, _ = tool("recover", name, code=PROBLEM_FOUND)
        report.expect(table(text, pid)[1].startswith("screws shelf PID unrepaired "), text)
        text, _ = tool("recover", name, "--repairs", PLUGIN)
        report.expect(
            table(text, pid) == ["MUTEX CLASS PID OUTCOME ERROR", "screws shelf PID repaired -"],
            text,
        )
        text, said = tool("recover", name)
        report.expect(
            table(text, pid) == ["MUTEX CLASS PID OUTCOME ERROR"]
            and said == f'segment "{name}": nothing to recover\n',
            text + said,
        )


def without_repairs_it_stays_and_is_a_problem():
    with segment_name() as name:
        die_holding(name)
        out, said = tool("recover", name, "--json", code=PROBLEM_FOUND)
        [line] = rows(out)
        report.expect(line["outcome"] == "unrepaired" and line["error"], str(line))
        report.expect(
            'found no library with repairs, expected one for "shelf": --repairs FILE.so' in said,
            said,
        )
        check(name, code=4)
        tool("recover", name, "--repairs", PLUGIN)
        check(name)


def dry_run_changes_nothing():
    with segment_name() as name:
        pid = die_holding(name)
        for _ in range(2):
            [line] = rows(
                tool(
                    "recover", name, "--repairs", PLUGIN, "--dry-run", "--json", code=PROBLEM_FOUND
                )[0]
            )
            report.expect(
                (line["mutex"], line["pid"], line["tid"]) == ("screws", pid, pid)
                and "would be" in line["outcome"],
                str(line),
            )
        [line] = rows(tool("recover", name, "--repairs", PLUGIN, "--json")[0])
        report.expect(line["pid"] == pid and line["outcome"] == "repaired", str(line))
        tool("recover", name, "--dry-run")


def living_owner_is_left_alone():
    with segment_name() as name, worker("hold", name, "holding"):
        report.expect(
            rows(tool("recover", name, "--repairs", PLUGIN, "--json")[0]) == [],
            "recovered a living owner's mutex",
        )
        tool("recover", name, "--dry-run")


def bad_libraries_are_refused_with_the_reason():
    with segment_name() as name:
        die_holding(name)
        for library, words in [
            ("/no/such/library.so", "cannot load"),
            (THROWS, "threw: no warehouse today"),
            (NO_FUNCTION, "found no outlive_register_repairs"),
            (OTHER_VERSION, "found version 4711"),
        ]:
            _, error = tool("recover", name, "--repairs", library, code=SYSTEM_ERROR)
            report.expect(words in error and library in error, error)
        tool("recover", name, "--repairs", PLUGIN)
        check(name)


def errors_of_usage_and_of_the_system():
    tool("recover", code=USAGE_ERROR)
    tool("recover", "no-such-segment-of-this-test", code=SYSTEM_ERROR)
    with segment_name() as name, worker("free", name, "free"):
        tool("reset", name, code=USAGE_ERROR)
        _, error = tool("reset", name, "no-such-mutex", code=PROBLEM_FOUND)
        report.expect("no-such-mutex" in error, error)


def make_not_recoverable(name):
    die_holding(name)
    outcomes = [
        rows(tool("recover", name, "--repairs", FAILS, "--json", code=PROBLEM_FOUND)[0])[0][
            "outcome"
        ]
        for _ in range(3)
    ]
    report.expect(
        outcomes[-1] in ("unrepaired", "not_recoverable", "not recoverable"), str(outcomes)
    )
    tool(
        "recover", name, "--repairs", PLUGIN, code=SUCCESS
    )  # nobody is pending any more: only reset helps
    check(name, code=4)


def reset_rebuilds_what_no_repair_mends():
    with segment_name() as name:
        make_not_recoverable(name)
        text, _ = tool("reset", name, "screws", "--repairs", PLUGIN, "--dry-run")
        report.expect("would be reset" in text, text)
        check(name, code=4)
        _, error = tool("reset", name, "screws", code=PROBLEM_FOUND)
        report.expect(
            'no rebuild for lock class "shelf": name a library that has one with --repairs, '
            'or use --as-it-is'
            in error,
            error,
        )
        tool("reset", name, "screws", "--repairs", FAILS, code=PROBLEM_FOUND)
        text, _ = tool("reset", name, "screws", "--repairs", PLUGIN)
        report.expect(
            'mutex "screws" of segment "' + name + '": was "not recoverable", is now consistent'
            in text,
            text,
        )
        report.expect(check(name) == "0 boxes", "the rebuild has not run")
        text, _ = tool("reset", name, "screws", "--repairs", PLUGIN)
        report.expect("left alone" in text, text)


def reset_repairs_what_a_dead_owner_left():
    with segment_name() as name:
        die_holding(name)
        text, _ = tool("reset", name, "screws", "--dry-run")
        report.expect(
            text == f'mutex "screws" of segment "{name}": owner died: would be reset\n', text
        )
        text, _ = tool("reset", name, "screws", "--repairs", PLUGIN)
        report.expect(
            text == f'mutex "screws" of segment "{name}": was "owner died", is now consistent\n',
            text,
        )
        text, _ = tool("reset", name, "screws", "--repairs", PLUGIN, "--dry-run")
        report.expect(
            text == f'mutex "screws" of segment "{name}": free: would be left alone\n', text
        )


def reset_as_it_is_keeps_the_data():
    with segment_name() as name:
        make_not_recoverable(name)
        tool("reset", name, "screws", "--as-it-is")
        report.expect(check(name, code=1) == "1 boxes", "the data was changed")


def killed_recovery_leaves_the_segment_to_the_next():
    """Killed at random, 40 times: whatever it had done, the next one finishes. (After each store:
    tests/killtest/supervisor_protocols_test.cpp.)
    """
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    killed, longest = 0, 0.03
    for _ in range(40):
        with segment_name() as name:
            die_holding(name)
            process = subprocess.Popen(
                [TOOL, "recover", name, "--repairs", PLUGIN],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
            time.sleep(chance.uniform(0, longest))
            process.kill()
            in_time = process.wait(timeout=SECONDS) != 0
            killed += in_time
            # However fast the machine is: sooner after one that came too late, later after one that
            # did not.
            longest = longest * 1.5 if in_time else longest / 2
            tool("recover", name, "--repairs", PLUGIN)
            report.expect(check(name) == "1 boxes", f"seed {seed}")
    report.expect(killed >= 10, f"seed {seed}: only {killed} of 40 were killed in time")


report.expect(len(BAD) == 4, "four bad libraries")
sys.exit(
    report.run(
        [
            (
                "recover.recovers_with_the_repairs_of_a_library",
                recovers_with_the_repairs_of_a_library,
            ),
            ("recover.people_get_a_table", people_get_a_table),
            (
                "recover.without_repairs_it_stays_and_is_a_problem",
                without_repairs_it_stays_and_is_a_problem,
            ),
            ("recover.dry_run_changes_nothing", dry_run_changes_nothing),
            ("recover.living_owner_is_left_alone", living_owner_is_left_alone),
            (
                "recover.bad_libraries_are_refused_with_the_reason",
                bad_libraries_are_refused_with_the_reason,
            ),
            ("recover.errors_of_usage_and_of_the_system", errors_of_usage_and_of_the_system),
            (
                "recover.killed_recovery_leaves_the_segment_to_the_next",
                killed_recovery_leaves_the_segment_to_the_next,
            ),
            ("reset.rebuilds_what_no_repair_mends", reset_rebuilds_what_no_repair_mends),
            ("reset.repairs_what_a_dead_owner_left", reset_repairs_what_a_dead_owner_left),
            ("reset.as_it_is_keeps_the_data", reset_as_it_is_keeps_the_data),
        ]
    )
)
