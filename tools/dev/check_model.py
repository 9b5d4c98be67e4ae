#!/usr/bin/env python3
"""Check a Promela model with spin, exhaustively.

Usage: check_model.py NAME holds|fails MODEL.pml [SPIN-OPTION...]      (options such as -DNP=2)

"holds": the search is complete and finds no error. "fails": it finds one; a model that does not find the faults that are put into it on
purpose (mutants) proves nothing. Prints one line, "PASS: model.NAME: N states" or "FAIL: model.NAME: why".
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

TIME_LIMIT_SECONDS = 900


def run(command, folder):
    return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=TIME_LIMIT_SECONDS)


def search(model, options):
    """The output of the complete search; raises RuntimeError if it could not be made."""
    with tempfile.TemporaryDirectory() as folder:
        for command in (["spin", *options, "-a", str(model.resolve())], ["gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c"]):
            done = run(command, folder)
            if done.returncode:
                raise RuntimeError(f"{command[0]} failed:\n{done.stdout}")
        return run(["./pan", "-m1000000"], folder).stdout


def verdict(output, expected):
    """(None or what is wrong, number of states)"""
    states = re.search(r"^\s*([\d.e+]+) states, stored", output, re.MULTILINE)
    errors = re.search(r"errors: (\d+)", output)
    if not states or not errors:
        return "the search did not end", 0
    count = int(float(states.group(1)))
    found = int(errors.group(1)) > 0
    if found != (expected == "fails"):
        return ("an error was found" if found else "no error was found, but this mutant has one"), count
    incomplete = "max search depth too small" in output or "Search not completed" in output or "out of memory" in output
    if expected == "holds" and incomplete:
        return "the search is not complete", count
    return None, count


def main():
    if len(sys.argv) < 4 or sys.argv[2] not in ("holds", "fails"):
        sys.exit(__doc__)
    name, expected, model, options = sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:]
    output = ""
    try:
        output = search(model, options)
        trouble, states = verdict(output, expected)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        trouble, states = str(error), 0
    if trouble:
        print("\n".join("  | " + line for line in output.splitlines()))
        print(f"FAIL: model.{name}: {trouble}")
        return 1
    print(f"PASS: model.{name}: {states:,} states")
    return 0


if __name__ == "__main__":
    sys.exit(main())
