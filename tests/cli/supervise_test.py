#!/usr/bin/env python3
"""outlive supervise recovers at once, logs deaths, keeps workers running, and talks to a service
manager.

Usage: supervise_test.py OUTLIVE ..."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile

import report
from shelves import (
    PLUGIN,
    SECONDS,
    PROBLEM_FOUND,
    SYSTEM_ERROR,
    THROWS,
    TOOL,
    WORKER,
    USAGE_ERROR,
    check,
    die_holding,
    segment_name,
    tool,
    wait_until_in_hand,
    worker,
)


@contextlib.contextmanager
def supervisor(*arguments, stderr=None, **environment):
    process = subprocess.Popen(
        [TOOL, "supervise", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process, pattern):
    """The lines up to the first one with the pattern; the runner's time limit ends an endless wait.
    """
    lines = ""
    for line in process.stdout:
        lines += line
        if re.search(pattern, line):
            return lines
    raise report.check_failed(f"the supervisor ended without a line like {pattern}:\n{lines}")


def ends_cleanly(process):
    """What it says until then."""
    process.send_signal(signal.SIGTERM)
    text, _ = process.communicate(timeout=SECONDS)
    report.expect(process.returncode == 0, f"exit code {process.returncode}")
    return text


@contextlib.contextmanager
def manager(abstract=False):
    """(what NOTIFY_SOCKET says, a function that returns the next word) of a service manager."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(
        socket.AF_UNIX, socket.SOCK_DGRAM
    ) as listener:
        listener.settimeout(SECONDS)
        path = f"@supervise-test-{os.getpid()}" if abstract else folder + "/notify"
        listener.bind(path.replace("@", "\0") if abstract else path)
        yield path, lambda: listener.recv(100).decode()


def death_is_recovered_and_logged():
    with segment_name() as name, worker("free", name, "free"), supervisor(
        name, "--repairs", PLUGIN
    ) as process:
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
    with segment_name() as name, manager() as (path, receive), supervisor(
        name, "--repairs", PLUGIN, "--respawn", 1, "--", WORKER, "hold", name, NOTIFY_SOCKET=path
    ) as process:
        first = int(re.search(r"worker (\d+): started", read_until(process, "started"))[1])
        report.expect(receive() == "READY=1", "not ready")  # the worker has made the segment by now
        wait_until_in_hand(name, 1)
        os.kill(first, signal.SIGKILL)
        text = read_until(process, r"worker \d+: started")
        # First the death, with how it ended: nobody can read that once the worker is reaped.
        order = [
            text.find(f"pid {first} (shelf_worker) was killed by SIGKILL"),
            text.find(f"worker {first}: killed by SIGKILL"),
        ]
        report.expect(-1 not in order and order == sorted(order), text)
        second = int(re.search(r"worker (\d+): started", text)[1])
        report.expect(second != first, text)
        wait_until_in_hand(name, 1)
        text = ends_cleanly(process)
        report.expect(
            f"pid {second} (shelf_worker) was killed by SIGTERM: " in text
            and "\n  screws of class shelf: repaired\n" in text,
            text,
        )
        report.expect(not os.path.exists(f"/proc/{second}"), "a worker is left")


def service_manager_is_notified():
    with segment_name() as name, worker("free", name, "free"), manager() as (path, receive):
        with supervisor(name, NOTIFY_SOCKET=path, WATCHDOG_USEC="200000") as process:
            words = [receive() for _ in range(4)]
            report.expect(
                words == ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"], str(words)
            )
            ends_cleanly(process)
        words = set()
        while "STOPPING=1" not in words:
            words.add(receive())


def service_manager_with_an_abstract_name_is_notified_after_recovery():
    with segment_name() as name, manager(abstract=True) as (path, receive):
        die_holding(name)
        with supervisor(name, "--repairs", PLUGIN, NOTIFY_SOCKET=path) as process:
            report.expect(receive() == "READY=1", "not ready")
            check(name)
            ends_cleanly(process)
        report.expect(receive() == "STOPPING=1", "a word too many")


def workers_cannot_speak_in_the_commands_name():
    with segment_name() as name, worker("free", name, "free"), manager() as (path, receive):
        shell = ["sh", "-c", "echo environment:$NOTIFY_SOCKET:$WATCHDOG_USEC: >&2; exec sleep 1000"]
        with supervisor(
            name,
            "--respawn",
            1,
            "--",
            *shell,
            stderr=subprocess.PIPE,
            NOTIFY_SOCKET=path,
            WATCHDOG_USEC="60000000",
        ) as process:
            line = process.stderr.readline()
            report.expect(line == "environment:::\n", line)
            report.expect(receive() == "READY=1", "not ready")


def watchdog_of_another_process_is_not_ours():
    with segment_name() as name, worker("free", name, "free"), manager() as (path, receive):
        with supervisor(
            name, NOTIFY_SOCKET=path, WATCHDOG_USEC="1000", WATCHDOG_PID="1"
        ) as process:
            report.expect(receive() == "READY=1", "not ready")
            ends_cleanly(process)
        report.expect(receive() == "STOPPING=1", "a word to a watchdog that is not ours")


def golden(text, pids):
    """Without what differs from run to run: numbers of processes, times, lines of source, and
    frames of the C library or that may be inlined.
    """
    for letter, pid in zip("ABC", pids):
        text = text.replace(str(pid), letter)
    text = re.sub(r"\d+\.\d s", "TIME", text)
    text = re.sub(r"[^ (]*shelf_worker\.cpp:\d+", "SOURCE", text)
    text = re.sub(r"#\d+ +", "# ", text)
    return [
        line
        for line in text.splitlines()
        if "#" not in line or ("SOURCE" in line and "# run" not in line)
    ]


def hung_owner_is_reported_with_its_stack_and_waiters():
    with segment_name() as name, worker("hold", name, "holding") as holder, worker(
        "wait", name, "waiting"
    ) as waiter:
        wait_until_in_hand(name, 2)
        with supervisor(name, "--hung", "200ms") as process:
            text = read_until(process, "waiting: ")
            report.expect(
                golden(text, [holder.pid, waiter.pid])
                == [
                    'pid A tid A (shelf_worker) has held "screws" of class "shelf" '
                    'for at least TIME: sleeping, 1 thread waits',
                    "  acquired at hold_for_ever (SOURCE)",
                    "  # hold_for_ever at SOURCE",
                    "  # main at SOURCE",
                    "  waiting: B shelf_worker",
                ],
                "\n".join(golden(text, [holder.pid, waiter.pid])),
            )
            ends_cleanly(process)


def deadlock_is_reported_with_both_stacks():
    with segment_name() as name, worker("cross", name, "crossing") as one, worker(
        "crossback", name, "crossing"
    ) as other:
        with supervisor(name) as process:
            text = read_until(process, "deadlock of 2") + "".join(
                process.stdout.readline() for _ in range(2)
            )
            while text.count(" main at ") < 2:
                text += process.stdout.readline()
            found = golden(text, [one.pid, other.pid])
            a, b = ("A", "B") if found[0].startswith("deadlock of 2 threads: pid A") else ("B", "A")
            mutex = {"A": "nails", "B": "screws"}
            stack = ["    # cross at SOURCE", "    # main at SOURCE"]
            report.expect(
                found
                == [
                    f'deadlock of 2 threads: pid {a} tid {a} (shelf_worker) waits for "{mutex[a]}" '
                    f'of class "shelf", held by pid {b} tid {b} (shelf_worker), which waits for '
                    f'"{mutex[b]}" of class "shelf", held by pid {a} tid {a} (shelf_worker)',
                    f"  {a} shelf_worker waits for {mutex[a]} at cross (SOURCE)",
                    *stack,
                    f"  {b} shelf_worker waits for {mutex[b]} at cross (SOURCE)",
                    *stack,
                ],
                "\n".join(found),
            )
            ends_cleanly(process)


def can_be_asked_to_end_while_it_waits_for_the_segment():
    with segment_name() as name, supervisor(name, "--respawn", 1, "--", "sleep", 1000) as process:
        read_until(process, "started")
        ends_cleanly(process)


def segment_without_a_name_and_users_ends_it():
    with segment_name() as name, worker("free", name, "free") as user, manager() as (
        path,
        receive,
    ), supervisor(name, stderr=subprocess.PIPE, NOTIFY_SOCKET=path) as process:
        report.expect(receive() == "READY=1", "not ready")
        user.kill()
        read_until(process, f"pid {user.pid}")
        tool("rm", "--force", name)  # the supervisor itself is attached
        _, error = process.communicate(timeout=SECONDS)
        report.expect(
            process.returncode == PROBLEM_FOUND and "has no name any more" in error,
            f"{process.returncode}: {error}",
        )


def errors():
    tool("supervise", "no-such-segment-of-this-test", code=SYSTEM_ERROR)
    with segment_name() as name, worker("free", name, "free"):
        tool("supervise", name, "--repairs", THROWS, code=SYSTEM_ERROR)
        tool("supervise", name, "--respawn", 1, code=USAGE_ERROR)
        tool("supervise", name, "--respawn", 0, "--", WORKER, code=USAGE_ERROR)
        for time in ("5ms", "-1s", "soon", "10"):
            tool("supervise", name, "--hung=" + time, code=USAGE_ERROR)


sys.exit(
    report.run(
        [
            (f"supervise.{case.__name__}", case)
            for case in [
                death_is_recovered_and_logged,
                what_was_left_before_is_recovered,
                workers_are_started_again,
                service_manager_is_notified,
                service_manager_with_an_abstract_name_is_notified_after_recovery,
                workers_cannot_speak_in_the_commands_name,
                watchdog_of_another_process_is_not_ours,
                hung_owner_is_reported_with_its_stack_and_waiters,
                deadlock_is_reported_with_both_stacks,
                can_be_asked_to_end_while_it_waits_for_the_segment,
                segment_without_a_name_and_users_ends_it,
                errors,
            ]
        ]
    )
)
