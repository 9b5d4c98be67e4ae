#!/usr/bin/env python3
"""outlive supervise recovers at once, logs deaths, keeps workers running, and talks to a service manager. Usage: supervise_test.py OUTLIVE ..."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile

import report
from shelves import PLUGIN, SECONDS, SYSTEM_ERROR, THROWS, TOOL, WORKER, WRONG_USAGE, check, die_holding, segment_name, tool, worker


@contextlib.contextmanager
def supervisor(*arguments, **environment):
    process = subprocess.Popen([TOOL, "supervise", *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                               env={**os.environ, **environment})
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process, pattern):
    """The lines up to the first one with the pattern; the runner's time limit ends a wait in vain."""
    lines = ""
    for line in process.stdout:
        lines += line
        if re.search(pattern, line):
            return lines
    raise report.check_failed(f"the supervisor ended without a line like {pattern}:\n{lines}")


def ends_cleanly(process):
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SECONDS)
    report.expect(process.returncode == 0, f"exit code {process.returncode}")


@contextlib.contextmanager
def manager():
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(SECONDS)
        listener.bind(folder + "/notify")
        yield folder + "/notify", lambda: listener.recv(100).decode()


def death_is_recovered_and_logged():
    with segment_name() as name, worker("free", name, "free"), supervisor(name, "--repairs", PLUGIN) as process:
        pid = die_holding(name)
        text = read_until(process, "screws of class shelf: repaired")
        report.expect(f"pid {pid}" in text, text)
        check(name)
        ends_cleanly(process)


def what_was_left_before_is_recovered():
    with segment_name() as name:
        die_holding(name)
        with supervisor(name, "--repairs", PLUGIN) as process:
            read_until(process, "screws of class shelf: repaired")
            ends_cleanly(process)
        check(name)


def workers_are_started_again():
    with segment_name() as name, supervisor(name, "--repairs", PLUGIN, "--respawn", 1, "--", WORKER, "hold", name) as process:
        first = int(re.search(r"worker (\d+): started", read_until(process, "started"))[1])
        # Until the segment is there the supervisor looks for it.
        while not os.path.exists(f"/dev/shm/outlive.{name}"):
            pass
        os.kill(first, signal.SIGKILL)
        text = read_until(process, r"worker \d+: started")
        report.expect(f"worker {first}: killed by SIGKILL" in text, text)
        second = int(re.search(r"worker (\d+): started", text)[1])
        report.expect(second != first, text)
        ends_cleanly(process)
        report.expect(not os.path.exists(f"/proc/{second}"), "a worker is left")


def service_manager_is_told():
    with segment_name() as name, worker("free", name, "free"), manager() as (path, receive):
        with supervisor(name, NOTIFY_SOCKET=path, WATCHDOG_USEC="200000") as process:
            words = [receive() for _ in range(4)]
            report.expect(words == ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"], str(words))
            ends_cleanly(process)
        words = set()
        while "STOPPING=1" not in words:
            words.add(receive())


def watchdog_of_another_process_is_not_ours():
    with segment_name() as name, worker("free", name, "free"), manager() as (path, receive):
        with supervisor(name, NOTIFY_SOCKET=path, WATCHDOG_USEC="1000", WATCHDOG_PID="1") as process:
            report.expect(receive() == "READY=1", "not ready")
            ends_cleanly(process)
        report.expect(receive() == "STOPPING=1", "a word to a watchdog that is not ours")


def errors():
    tool("supervise", "no-such-segment-of-this-test", code=SYSTEM_ERROR)
    with segment_name() as name, worker("free", name, "free"):
        tool("supervise", name, "--repairs", THROWS, code=SYSTEM_ERROR)
        tool("supervise", name, "--respawn", 1, code=WRONG_USAGE)
        tool("supervise", name, "--respawn", 0, "--", WORKER, code=WRONG_USAGE)


sys.exit(report.run([
    ("supervise.death_is_recovered_and_logged", death_is_recovered_and_logged),
    ("supervise.what_was_left_before_is_recovered", what_was_left_before_is_recovered),
    ("supervise.workers_are_started_again", workers_are_started_again),
    ("supervise.service_manager_is_told", service_manager_is_told),
    ("supervise.watchdog_of_another_process_is_not_ours", watchdog_of_another_process_is_not_ours),
    ("supervise.errors", errors),
]))
