"""What the tests of recover, reset, stack and supervise share: the tool, a segment of their own,
workers that hold a shelf.
"""

import contextlib
import json
import os
import subprocess
import sys
import time

import report
from tool import SECONDS, TOOL, segment_name

WORKER, PLUGIN, *BAD = (os.path.abspath(path) for path in sys.argv[2:])
FAILS, THROWS, NO_FUNCTION, OTHER_VERSION = BAD
SUCCESS, PROBLEM_FOUND, USAGE_ERROR, SYSTEM_ERROR = range(4)


def tool(*arguments, code=SUCCESS):
    """(stdout, stderr) of a command that ends with this exit code."""
    done = subprocess.run(
        [TOOL, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    report.expect(
        done.returncode == code,
        f"outlive {' '.join(map(str, arguments))}: exit code {done.returncode}, expected {code}\n"
        f"{done.stdout}{done.stderr}",
    )
    return done.stdout, done.stderr


@contextlib.contextmanager
def worker(mode, name, says):
    """A worker that has said its word; killed in the end."""
    process = subprocess.Popen(
        [WORKER, mode, name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline().strip()
        report.expect(line == says, f"the worker said '{line}', expected '{says}'")
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until_in_hand(name, count):
    """What `outlive stack` shows as soon as this many threads hold or wait."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        found = rows(tool("stack", name, "--json")[0])
        if len(found) == count:
            return found
    raise report.check_failed(f"found {found}, expected {count} threads")


def die_holding(name):
    with worker("hold", name, "holding") as process:
        return process.pid


def check(name, code=0):
    done = subprocess.run(
        [WORKER, "check", name],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    report.expect(
        done.returncode == code,
        f"the check's exit code is {done.returncode}, expected {code}: {done.stdout}{done.stderr}",
    )
    return done.stdout.strip()


def rows(text):
    return json.loads(text)
