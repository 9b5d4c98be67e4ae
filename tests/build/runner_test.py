#!/usr/bin/env python3
"""The runner distinguishes every kind of end from a pass, and the counter adds up.

Usage: runner_test.py ROOT RUNNER_CASES"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import report

ROOT, PROGRAM = Path(sys.argv[1]), Path(sys.argv[2])
RUNNER, COUNTER = ROOT / "tests/support/run_cases.py", ROOT / "tools/dev/count_results.py"


def run_cases(pattern, *options):
    return subprocess.run(
        [RUNNER, "--filter", pattern, "--timeout", "2", *options, PROGRAM],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )


def ends(case, code, line):
    def check():
        done = run_cases("ends." + case)
        report.expect(
            done.returncode == code, f"exit code {done.returncode}, expected {code}\n{done.stdout}"
        )
        report.expect(
            any(found.startswith(line) for found in done.stdout.splitlines()),
            f"no line '{line}'\n{done.stdout}",
        )

    return check


def all_together():
    done = run_cases("*", "--jobs", "4")
    last = done.stdout.splitlines()[-1]
    report.expect(
        done.returncode == 1 and last == f"{PROGRAM.name}: 2 passed, 5 failed, 2 skipped",
        done.stdout,
    )


def orphan_is_killed():
    done = run_cases("ends.leaves_a_child")
    end = time.monotonic() + 10
    while (left := running(PROGRAM)) and time.monotonic() < end:
        time.sleep(0.05)
    report.expect(
        "left processes behind" in done.stdout and not left, f"still running: {left}\n{done.stdout}"
    )


def running(program):
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if (
                entry.name.isdigit()
                and os.path.samefile(entry / "exe", program)
                and b"leaves_a_child" in (entry / "cmdline").read_bytes()
            ):
                found.append(entry.name)
        except OSError:
            pass
    return found


def count(tests, suites=""):
    with tempfile.TemporaryDirectory() as folder:
        log, skips = Path(folder) / "testlog.json", Path(folder) / "skips"
        log.write_text("".join(json.dumps(test) + "\n" for test in tests))
        done = subprocess.run(
            [sys.executable, COUNTER, "--skips", skips, f"made_up:{suites}={log}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        return (
            done.returncode,
            done.stdout.splitlines()[-1],
            done.stdout.splitlines()[-2],
            skips.read_text(),
        )


def counter():
    good = {
        "name": "a",
        "result": "OK",
        "returncode": 0,
        "stdout": "PASS: x.y (0.1 s)\nSKIP: x.z: no room\na: 1200 kills\na: 1 passed\n",
    }
    plain = {"name": "b", "result": "OK", "returncode": 0}
    bad = {
        "name": "c",
        "result": "FAIL",
        "returncode": 1,
        "stdout": "PASS: p.q\nFAIL: p.r: killed by SIGSEGV\nc: 30 kills\n",
    }
    lost = {"name": "d", "result": "ERROR", "returncode": -9, "stdout": "PASS: s.t\n"}
    for tests, expected in (
        (
            [good, plain],
            (0, "2 passed, 0 failed, 1 skipped", "1200 kills", "x.z: no room [made_up]\n"),
        ),
        (
            [good, bad],
            (1, "2 passed, 1 failed, 1 skipped", "1230 kills", "x.z: no room [made_up]\n"),
        ),
        ([lost], (1, "1 passed, 1 failed, 0 skipped", "0 kills", "")),
        ([], (1, "0 passed, 1 failed, 0 skipped", "0 kills", "")),
    ):
        report.expect(count(tests) == expected, f"{count(tests)}, expected {expected}")


# The log is meson's own: it names suites where only a run shows it.
TINY_PROJECT = """project('tiny')
test('a', find_program('true'), suite: ['killtest', 'build'])
test('b', find_program('sh'), args: ['-c', 'echo SKIP: x.z: no room; exit 77'], suite: 'step')
"""


def silent_suites():
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "meson.build").write_text(TINY_PROJECT)
        build = Path(folder) / "build"
        for command in (["setup", build, folder], ["test", "-C", build]):
            subprocess.run(["meson", *command], stdout=subprocess.DEVNULL, check=True, timeout=60)
        lines = (build / "meson-logs/testlog.json").read_text().splitlines()
    tests = [json.loads(line) for line in lines]
    for suites, failed in (("killtest,build", 0), ("killtest,step", 1), ("step,unit", 2)):
        code, last, _, _ = count(tests, suites)
        report.expect(
            (code, last) == (1 if failed else 0, f"1 passed, {failed} failed, 1 skipped"),
            f"{suites}: {code}, {last}",
        )


sys.exit(
    report.run(
        [
            ("runner.pass", ends("passes", 0, "PASS: ends.passes")),
            ("runner.kills", ends("kills", 0, f"{PROGRAM.name}: 3 kills")),
            ("runner.failure", ends("fails", 1, "FAIL: ends.fails: exit code 1")),
            ("runner.skip", ends("skips", 77, "SKIP: ends.skips: meant to be skipped")),
            (
                "runner.disabled_is_a_skip",
                ends("DISABLED_*", 77, "SKIP: ends.DISABLED_is_disabled: disabled in the source"),
            ),
            ("runner.signal", ends("aborts", 1, "FAIL: ends.aborts: killed by SIGABRT")),
            (
                "runner.early_exit_is_no_pass",
                ends("exits_early", 1, "FAIL: ends.exits_early: ended early"),
            ),
            ("runner.time_limit", ends("hangs", 1, "FAIL: ends.hangs: still running after 2 s")),
            ("runner.orphan_is_killed", orphan_is_killed),
            ("runner.no_case", ends("no_such_case", 1, "FAIL: ")),
            ("runner.all_together", all_together),
            ("runner.counter", counter),
            ("runner.suite_without_a_case_has_failed", silent_suites),
        ]
    )
)
