#!/usr/bin/env python3
"""Count the instructions of one lock and unlock, and fail when there are more than allowed.

Runs lock_pair under callgrind with two numbers of pairs. Everything else that the program does is
the same in both runs, so that the difference, without that of the empty loop, belongs to the pairs
alone: an exact figure, whatever the machine is doing. Kernel instructions are not in it; there are
none in these pairs. It counts in copies without debugging information: valgrind gives up on what
clang writes (DWARF 5), and it has no use for it here.

Exit: 0 within the limits, 1 above one, 3 it could not be counted.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

FEW, MANY = 1000, 11000

# Most instructions of a pair, whatever the compiler. The raw pair is shown for comparison: it is
# glibc's.
LIMITS = {
    "raw": None,
    "robust_mutex": 185,
    "holding_another": 185,
    "try_lock": 190,
    "guarded": 190,
}


class CannotCount(Exception):
    pass


def output_of(command, **options):
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            **options,
        )
    except OSError as error:
        raise CannotCount(
            f"{command[0]}: {error.strerror} (Debian packages valgrind, binutils, libc-bin)"
        ) from error
    if done.returncode != 0:
        raise CannotCount(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def bare_copies(program, folder):
    """Copies of the program and its liboutlive without debugging information; returns that of the
    program.
    """
    copy = os.path.join(folder, "lock_pair")
    output_of(["strip", "-g", "-o", copy, program])
    linked = re.search(r"(liboutlive\S+) => (\S+)", output_of(["ldd", program]))
    if linked:
        output_of(["strip", "-g", "-o", os.path.join(folder, linked.group(1)), linked.group(2)])
    return copy


def collected(program, kind, count):
    command = [
        "valgrind",
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        program,
        kind,
        str(count),
    ]
    text = output_of(command, env=dict(os.environ, LD_LIBRARY_PATH=os.path.dirname(program)))
    found = re.search(r"Collected : (\d+)", text)
    if not found:
        raise CannotCount(f"{' '.join(command)} told no count:\n{text}")
    return int(found.group(1))


def per_pair(program, kind):
    return (collected(program, kind, MANY) - collected(program, kind, FEW)) / (MANY - FEW)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", help="the program lock_pair")
    parser.add_argument(
        "--json", action="store_true", help="print the counts as JSON, and compare nothing"
    )
    args = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            program = bare_copies(os.path.abspath(args.program), folder)
            empty = per_pair(program, "empty")
            counts = {kind: per_pair(program, kind) - empty for kind in LIMITS}
    except (CannotCount, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        return 3
    if args.json:
        print(json.dumps(counts))
        return 0
    above = 0
    for kind, count in counts.items():
        limit = LIMITS[kind]
        verdict = "" if limit is None else f"  at most {limit}: {'yes' if count <= limit else 'NO'}"
        above += limit is not None and count > limit
        print(f"{kind:16} {count:8.2f}{verdict}")
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
