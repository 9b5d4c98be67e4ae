#!/usr/bin/env python3
"""Add up the cases of several `meson test` runs.

Usage: count_results.py [--skips FILE] LABEL:SUITE,...=testlog.json...

A test program prints a line for each of its cases, "PASS: name", "FAIL: name: why" or "SKIP: name:
why"; one that prints none counts as one case itself. One that killed processes prints "program: N
kills". A suite that was to run and ran no case has failed. The last line but one is "N kills", the
last line is exactly "N passed, N failed, N skipped". Exit 1 if any failed. """

import argparse
import json
import re
import sys
from pathlib import Path

KILLS = re.compile(r"^\S+: (\d+) kills$", re.MULTILINE)
CASE = re.compile(r"^(PASS|FAIL|SKIP): (.*)$", re.MULTILINE)


def cases_of(test):
    """[(verdict, text)] of one line of meson's testlog.json."""
    found = CASE.findall(test.get("stdout", ""))
    name, result = test["name"], test["result"]
    if result == "SKIP" and not found:
        return [("SKIP", f"{name}: the program skipped itself")]
    if not found:
        return (
            [("PASS", name)]
            if result == "OK"
            else [("FAIL", f"{name}: {result.lower()}, exit code {test.get('returncode')}")]
        )
    if result not in ("OK", "SKIP") and not any(verdict == "FAIL" for verdict, _ in found):
        found.append(("FAIL", f"{name}: {result.lower()} after its last case"))
    return found


def suites_of(test):
    """The names of its suites. meson's log has them in the test's name alone: "PROJECT:SUITE+SUITE
    / NAME".
    """
    before, separator, _ = test["name"].partition(" / ")
    return set(before.rpartition(":")[2].split("+")) if separator else set()


def silent_suites(expected, tests):
    """[(verdict, text)]: a failure for each expected suite of which no case passed or failed."""
    spoke = set()
    for test in tests:
        if any(verdict != "SKIP" for verdict, _ in cases_of(test)):
            spoke |= suites_of(test)
    return [("FAIL", f"suite {suite}: no case was run") for suite in expected if suite not in spoke]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--skips", help="write the skipped cases there, one a line")
    parser.add_argument("runs", nargs="+", metavar="LABEL:SUITE,...=FILE")
    args = parser.parse_args()

    totals = {"PASS": 0, "FAIL": 0, "SKIP": 0}
    problems, skips, all_kills = [], [], 0
    print(f"{'build':<24}{'passed':>8}{'failed':>8}{'skipped':>9}{'kills':>9}")
    for run in args.runs:
        name, _, path = run.partition("=")
        label, _, suites = name.partition(":")
        tests = (
            [json.loads(line) for line in Path(path).read_text().splitlines() if line]
            if Path(path).exists()
            else []
        )
        cases = [case for test in tests for case in cases_of(test)]
        cases += silent_suites([suite for suite in suites.split(",") if suite], tests)
        if not cases:
            cases = [("FAIL", "no case was run")]
        count = {verdict: sum(1 for v, _ in cases if v == verdict) for verdict in totals}
        kills = sum(
            int(number) for test in tests for number in KILLS.findall(test.get("stdout", ""))
        )
        all_kills += kills
        print(f"{label:<24}{count['PASS']:>8}{count['FAIL']:>8}{count['SKIP']:>9}{kills:>9}")
        for verdict in totals:
            totals[verdict] += count[verdict]
        problems += [f"failed in {label}: {text}" for verdict, text in cases if verdict == "FAIL"]
        skips += [f"{text} [{label}]" for verdict, text in cases if verdict == "SKIP"]

    for line in ["skipped: " + skip for skip in skips] + problems:
        print(line)
    if args.skips:
        Path(args.skips).write_text("".join(skip + "\n" for skip in skips))
    print(f"{all_kills} kills")
    print(f"{totals['PASS']} passed, {totals['FAIL']} failed, {totals['SKIP']} skipped")
    return 1 if totals["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
