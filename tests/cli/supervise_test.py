#!/usr/bin/env python3
"""outlive supervise recovers at once, logs deaths, keeps workers running, and talks to a service
manager.

Usage: supervise_test.py OUTLIVE ..."""

import contextlib
import errno
import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time

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
from tool import path_of


@contextlib.contextmanager
def supervisor(*arguments, stdout=subprocess.PIPE, stderr=None, within=(), **environment):
    process = subprocess.Popen(
        [*within, TOOL, "supervise", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
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
    text = re.sub(r"#\d+(-\d+)? +", "# ", text)
    return [
        line
        for line in text.splitlines()
        if "#" not in line or ("SOURCE" in line and not re.search("# (run|main) ", line))
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
                    "  acquired at SOURCE (hold_for_ever)",
                    "  # hold_for_ever at SOURCE",
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
            while text.count(" cross at ") < 2:
                text += process.stdout.readline()
            found = golden(text, [one.pid, other.pid])
            a, b = ("A", "B") if found[1].startswith("  A ") else ("B", "A")
            mutex = {"A": "nails", "B": "screws"}
            stack = ["    # cross at SOURCE"]
            report.expect(
                found
                == [
                    "deadlock of 2 threads",
                    f"  {a} shelf_worker waits at SOURCE (cross) for {mutex[a]} of class shelf, "
                    f"which {b} shelf_worker has",
                    *stack,
                    f"  {b} shelf_worker waits at SOURCE (cross) for {mutex[b]} of class shelf, "
                    f"which {a} shelf_worker has",
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


def events_fit_the_terminal():
    """What is long goes on below its text, and no word is cut."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    with segment_name() as name, worker("hold", name, "holding"), worker("wait", name, "waiting"):
        wait_until_in_hand(name, 2)
        with supervisor(name, "--hung", "200ms", stdout=theirs, TERM="xterm"):
            os.close(theirs)
            text = b""
            end = time.monotonic() + SECONDS
            while b"waiting: " not in text:
                ready, _, _ = select.select([ours], [], [], max(0, end - time.monotonic()))
                report.expect(bool(ready), f"a report within {SECONDS} s, not {text!r}")
                text += os.read(ours, 4096)
    os.close(ours)
    lines = text.decode().split("\r\n")
    report.expect(max(map(len, lines)) <= 60, text.decode())
    first, _, _ = text.decode().partition("\r\n  acquired at ")
    report.expect(
        re.fullmatch(
            r'pid .* has held "screws" of class "shelf" for at least .*: sleeping, 1 thread waits',
            first.replace("\r\n    ", " "),
        ),
        text.decode(),
    )


def until(condition, what):
    end = time.monotonic() + SECONDS
    while not condition():
        report.expect(time.monotonic() < end, f"{what} within {SECONDS} s")
        time.sleep(0.01)


def ends_with_success(process):
    process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=SECONDS)
    report.expect(code == 0, f"exit code {code}")


def recovers_and_restarts(name, process, started):
    """Kills the worker, which holds the shelf. `started` has a line for each start."""
    until(lambda: len(lines_of(started)) == 1, "the worker is started")
    until(path_of(name).exists, "it has made the segment")
    wait_until_in_hand(name, 1)
    os.kill(int(lines_of(started)[0]), signal.SIGKILL)
    until(lambda: len(lines_of(started)) == 2, "the worker is started again")
    report.expect(process.poll() is None, f"it has ended with {process.poll()}")


def lines_of(path):
    return path.read_text().splitlines() if path.exists() else []


@contextlib.contextmanager
def worker_program(mode, name):
    """(a program that becomes a worker, the file to which it appends its pid)"""
    with tempfile.TemporaryDirectory() as folder:
        program, started = pathlib.Path(folder, "worker"), pathlib.Path(folder, "started")
        program.write_text(f"#!/bin/sh\necho $$ >> {started}\nexec {WORKER} {mode} {name}\n")
        program.chmod(0o755)
        yield program, started


def holding_worker(name):
    return worker_program("hold", name)


def log_on_a_full_disk_stops_nothing():
    with segment_name() as name, holding_worker(name) as (program, started), open(
        "/dev/full", "w"
    ) as full, supervisor(
        *(name, "--repairs", PLUGIN, "--respawn", 1, "--", program),
        stdout=full,
        stderr=subprocess.PIPE,
    ) as process:
        recovers_and_restarts(name, process, started)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=SECONDS)
        report.expect(process.returncode == 0, f"exit code {process.returncode}")
        words = "standard output: " + os.strerror(errno.ENOSPC)
        report.expect(said.count(words) == 1, said)


def log_without_a_reader_stops_nothing():
    with segment_name() as name, holding_worker(name) as (program, started), supervisor(
        *(name, "--repairs", PLUGIN, "--respawn", 1, "--", program), stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        recovers_and_restarts(name, process, started)
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
        report.expect(process.wait(timeout=SECONDS) == 0, f"exit code {process.returncode}")
        report.expect(said.count("standard output: " + os.strerror(errno.EPIPE)) == 1, said)


@contextlib.contextmanager
def full_pipe():
    """(its end to read, its end to write), and nobody reads."""
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x")
        os.set_blocking(writer, True)
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def log_that_nobody_reads_stops_nothing():
    with segment_name() as name, holding_worker(name) as (program, started), full_pipe() as (
        reader,
        writer,
    ), supervisor(
        *(name, "--repairs", PLUGIN, "--respawn", 1, "--", program), stdout=writer, stderr=writer
    ) as process:
        recovers_and_restarts(name, process, started)
        ends_with_success(process)  # and does not wait for the reader either


def log_that_is_read_late_is_whole():
    with segment_name() as name, holding_worker(name) as (program, started), full_pipe() as (
        reader,
        writer,
    ), supervisor(
        *(name, "--repairs", PLUGIN, "--respawn", 1, "--", program), stdout=writer
    ) as process:
        recovers_and_restarts(name, process, started)
        text = ""
        while text.count(": started\n") < 2:
            text += os.read(reader, 65536).decode().replace("x", "")
        first = lines_of(started)[0]
        report.expect(
            re.search(
                rf"^worker {first}: started\n(.*\n)*pid {first} \(.*\n"
                rf"  screws of class shelf: repaired\nworker {first}: killed by SIGKILL, ",
                text,
            ),
            text,
        )
        ends_with_success(process)


def restart_that_fails_is_tried_again():
    with segment_name() as name, worker_program("free", name) as (program, started):
        with supervisor(name, "--repairs", PLUGIN, "--respawn", 2, "--", program) as process:
            text = read_until(process, "started") + read_until(process, "started")
            one, other = map(int, re.findall(r"worker (\d+): started", text))
            until(lambda: len(lines_of(started)) == 2, "the workers have run")
            away = program.rename(f"{program}.away")
            os.kill(one, signal.SIGKILL)
            text = ""
            for pause in (200, 400):  # 100 ms was the pause after the death
                text = read_until(process, f"tries again in {pause} ms")
                words = f"worker: cannot start '{program}': {os.strerror(errno.ENOENT)}, "
                report.expect(words in text, text)
            away.rename(program)
            text = read_until(process, r"worker \d+: started") + ends_cleanly(process)
            report.expect(f"worker {other}: " not in text, "the other worker died, too: " + text)


def first_start_that_fails_for_a_moment_is_tried_again():
    with segment_name() as name, worker_program("free", name) as (program, _):
        with open(program, "r+b") as being_written, supervisor(
            name, "--respawn", 1, "--", program
        ) as process:
            text = read_until(process, "tries again in 100 ms")
            report.expect(os.strerror(errno.ETXTBSY) in text, text)
            being_written.close()
            read_until(process, r"worker \d+: started")
            ends_cleanly(process)


def program_that_is_not_there_is_an_error():
    with segment_name() as name, worker("free", name, "free"):
        _, error = tool(
            "supervise", name, "--respawn", 2, "--", "./no-such-program", code=SYSTEM_ERROR
        )
        report.expect("cannot start './no-such-program'" in error, error)


def repairs_come_before_the_workers():
    with segment_name() as name, tempfile.TemporaryDirectory() as folder:
        started = pathlib.Path(folder, "started")
        start = ["--respawn", 1, "--", "touch", started]
        # There is no segment: a file that is no library with repairs is found out anyway.
        tool("supervise", name, "--repairs", WORKER, *start, code=SYSTEM_ERROR)
        with worker("free", name, "free"):
            tool("supervise", name, "--repairs", THROWS, *start, code=SYSTEM_ERROR)
            report.expect(not started.exists(), "a worker was started")
        die_holding(name)
        with supervisor(name, "--repairs", PLUGIN, *start) as process:
            text = read_until(process, "worker .*: started")
            report.expect("screws of class shelf: repaired" in text, f"not before that: {text}")
            ends_cleanly(process)


def workers_end_in_order_when_it_fails():
    with segment_name() as name, tempfile.TemporaryDirectory() as folder:
        ended = pathlib.Path(folder, "ended")
        # It makes the segment; then the library throws.
        script = f"trap 'touch {ended}; exit' TERM; {WORKER} free {name} & wait"
        tool(
            *("supervise", name, "--repairs", THROWS, "--respawn", 1, "--", "sh", "-c", script),
            code=SYSTEM_ERROR,
        )
        report.expect(ended.exists(), "the worker got no SIGTERM")


def stat_of(pid):
    """(state, parent)"""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], int(fields[1])


def children_of(parent, states):
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            state, its_parent = stat_of(entry)
            if its_parent == parent and state in states:
                found.append(int(entry))
    return found


def name_of(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


CONTAINER = ["unshare", "-pf", "--mount-proc", "--kill-child"]


def as_process_1_it_reaps_orphans_and_ends_when_asked():
    if subprocess.run([*CONTAINER, "true"], stderr=subprocess.DEVNULL).returncode != 0:
        raise report.skip("no PID namespace can be made here")
    with segment_name() as name, tempfile.TemporaryDirectory() as folder, manager() as (
        path,
        receive,
    ):
        # Of two processes whose parents are gone, so that the supervisor is their parent, one holds
        # the shelf, and one never uses the segment.
        until_orphaned = 'until grep -q "^PPid:.1$" /proc/$$/status; do :; done'
        script = f"""
            (sh -c '{until_orphaned}; exec {WORKER} hold {name} > {folder}/holding' &)
            (sh -c '{until_orphaned}; : > {folder}/other' &)
            exec sleep 1000
        """
        with supervisor(
            *(name, "--repairs", PLUGIN, "--respawn", 1, "--", "sh", "-c", script),
            within=CONTAINER,
            NOTIFY_SOCKET=path,
        ) as process:
            report.expect(receive() == "READY=1", "not ready")
            until(lambda: pathlib.Path(f"{folder}/holding").read_text(), "the shelf is held")
            until(lambda: os.path.exists(f"{folder}/other"), "there is another orphan")
            (first,) = children_of(process.pid, "SR")
            children = children_of(first, "SR")
            (holder,) = [each for each in children if name_of(each) == "shelf_worker"]
            os.kill(holder, signal.SIGKILL)
            text = read_until(process, "screws of class shelf: repaired")
            report.expect("(shelf_worker) was killed by SIGKILL: 1 mutex recovered" in text, text)
            until(lambda: not children_of(first, "Z"), "the orphans are reaped")
            os.kill(first, signal.SIGTERM)
            process.communicate(timeout=SECONDS)
            report.expect(process.returncode == 0, f"exit code {process.returncode}")


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
                events_fit_the_terminal,
                deadlock_is_reported_with_both_stacks,
                can_be_asked_to_end_while_it_waits_for_the_segment,
                segment_without_a_name_and_users_ends_it,
                log_on_a_full_disk_stops_nothing,
                log_without_a_reader_stops_nothing,
                log_that_nobody_reads_stops_nothing,
                log_that_is_read_late_is_whole,
                restart_that_fails_is_tried_again,
                first_start_that_fails_for_a_moment_is_tried_again,
                program_that_is_not_there_is_an_error,
                repairs_come_before_the_workers,
                workers_end_in_order_when_it_fails,
                as_process_1_it_reaps_orphans_and_ends_when_asked,
                errors,
            ]
        ]
    )
)
