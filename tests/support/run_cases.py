#!/usr/bin/env python3
"""Run each case of a GoogleTest program in a process of its own.

A case that crashes, hangs or leaves locks, threads or mappings behind must not touch the next one.
Each case gets a session of its own and a time limit; at its end nothing of it may still run. One
line a case, which tools/dev/count_results.py counts:

    PASS: suite.case (0.01 s)
    FAIL: suite.case: killed by SIGSEGV (0.02 s)
    SKIP: suite.case: the reason that the case gave

Exit: 0 all passed (some may be skipped), 1 some failed, 77 all skipped.
"""

import argparse
import concurrent.futures
import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

PR_SET_CHILD_SUBREAPER = 36
ADDR_NO_RANDOMIZE = 0x0040000
GRACE_SECONDS = 5.0

print_lock = threading.Lock()


def say(text):
    with print_lock:
        print(text, flush=True)


def list_cases(program, pattern):
    listing = subprocess.run(
        [program, "--gtest_list_tests", "--gtest_filter=" + pattern],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
        text=True,
    ).stdout
    cases, suite = [], None
    for line in listing.splitlines():
        name = line.split("#")[0].rstrip()
        if name.endswith(".") and not name.startswith(" "):
            suite = name
        elif name.startswith("  ") and suite:
            cases.append(suite + name.strip())
    return cases


def group_is_empty(group):
    """Reap what the case orphaned (we are its subreaper); True if nothing of its group is left."""
    try:
        while True:
            pid, _ = os.waitpid(-group, os.WNOHANG)
            if pid == 0:
                return False
    except ChildProcessError:
        pass
    try:
        os.killpg(group, 0)
        return False
    except ProcessLookupError:
        return True


def clear_group(group):
    """True if the case left nothing running. Killed children take a moment to end, so that a
    survivor gets a short grace.
    """
    end = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < end:
        if group_is_empty(group):
            return True
        time.sleep(0.01)
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
    end = time.monotonic() + GRACE_SECONDS
    while not group_is_empty(group) and time.monotonic() < end:
        time.sleep(0.01)
    return False


def end_of(process, timeout):
    """How the process ended: None if well, otherwise in words."""
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"still running after {timeout:g} s"
    if code < 0:
        try:
            return "killed by " + signal.Signals(-code).name
        except ValueError:
            return f"killed by signal {-code}"
    return None if code == 0 else f"exit code {code}"


def skip_reason(output):
    found = re.search(r": Skipped\n(.*?)(?:\n\n|\n\[)", output, re.DOTALL)
    reason = " ".join(found.group(1).split()) if found else ""
    return reason or "no reason given"


def kills_in(output):
    """How many processes it killed: tests/support/child.cpp prints that at the end."""
    return sum(int(number) for number in re.findall(r"^kills: (\d+)$", output, re.MULTILINE))


def run_case(program, case, timeout):
    """('PASS', 'FAIL' or 'SKIP', number of kills); prints the line of the case."""
    if "DISABLED_" in case:
        say(f"SKIP: {case}: disabled in the source")
        return "SKIP", 0
    began = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [program, "--gtest_filter=" + case, "--gtest_color=no"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        trouble = end_of(process, timeout)
        if not clear_group(process.pid) and trouble is None:
            trouble = "left processes behind"
        out.seek(0)
        output = out.read().decode(errors="replace")
    seconds = f"({time.monotonic() - began:.2f} s)"
    if trouble is None and "[  SKIPPED ] " in output:
        say(f"SKIP: {case}: {skip_reason(output)}")
        return "SKIP", kills_in(output)
    if trouble is None and "[  PASSED  ] 1 test." not in output:
        trouble = "ended early: GoogleTest did not report the case as passed"
    if trouble is None:
        say(f"PASS: {case} {seconds}")
        return "PASS", kills_in(output)
    say(
        "\n".join(
            ["  | " + line for line in output.splitlines()[-400:]]
            + [f"FAIL: {case}: {trouble} {seconds}"]
        )
    )
    return "FAIL", kills_in(output)


def prepare(no_aslr):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if no_aslr:
        libc.personality(libc.personality(0xFFFFFFFF) | ADDR_NO_RANDOMIZE)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program")
    parser.add_argument("--filter", default="*", help="GoogleTest pattern of the cases to run")
    parser.add_argument(
        "--timeout", type=float, default=60, help="seconds for one case (default 60)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="cases at the same time (default 1)")
    parser.add_argument(
        "--no-aslr",
        action="store_true",
        help="fixed addresses: what ThreadSanitizer needs on some kernels",
    )
    args = parser.parse_args()

    prepare(args.no_aslr)
    program = os.path.abspath(args.program)
    cases = list_cases(program, args.filter)
    if not cases:
        say(f"FAIL: {os.path.basename(program)}: no case matches {args.filter}")
        return 1
    if sys.stderr.isatty():
        say(f"{len(cases)} cases of {os.path.basename(program)}")
    with concurrent.futures.ThreadPoolExecutor(max(1, args.jobs)) as pool:
        results = list(pool.map(lambda case: run_case(program, case, args.timeout), cases))
    verdicts, kills = [verdict for verdict, _ in results], sum(number for _, number in results)
    passed, failed, skipped = (verdicts.count(v) for v in ("PASS", "FAIL", "SKIP"))
    if kills:
        say(f"{os.path.basename(program)}: {kills} kills")
    say(f"{os.path.basename(program)}: {passed} passed, {failed} failed, {skipped} skipped")
    if failed:
        return 1
    return 77 if skipped == len(cases) else 0


if __name__ == "__main__":
    sys.exit(main())
