#!/usr/bin/env python3
"""outlive top draws a screen that fits, follows its size, and gives the terminal back.

Usage: top_test.py OUTLIVE PROGRAM_OF_THE_SUITE"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import report
from tool import SECONDS, TOOL, path_of, scene

sys.path.append(
    "/usr/lib/python3/dist-packages"
)  # another python than Debian's does not look there
try:
    import pyte
except ImportError:
    pyte = None


class session:
    """The tool on a terminal of its own, and what that shows."""

    def __init__(self, *arguments, columns=80, rows=24):
        if pyte is None:
            raise report.skip("pyte (package python3-pyte) is not installed")
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.seen = b""
        self.ours, self.theirs = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.theirs)
        self.process = subprocess.Popen(
            [TOOL, "top", "--every", "100ms", *arguments],
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": "xterm"},
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)

    def resize(self, columns, rows):
        self.screen.resize(rows, columns)
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_output(self):
        if select.select([self.ours], [], [], 0.05)[0]:
            part = os.read(self.ours, 65536)
            self.seen += part
            self.stream.feed(part)

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def wait_for(self, condition, what):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self.read_output()
            if condition("\n".join(self.lines())):
                return "\n".join(self.lines())
        raise report.check_failed(f"not within {SECONDS} s: {what}\n" + "\n".join(self.lines()))

    def press(self, key):
        os.write(self.ours, key)

    def ends(self, code):
        end = time.monotonic() + SECONDS
        while self.process.poll() is None and time.monotonic() < end:
            self.read_output()
        self.read_output()
        report.expect(
            self.process.poll() == code,
            f"exit code {self.process.poll()}, expected {code}\n{self.seen[-500:]!r}",
        )
        report.expect(
            termios.tcgetattr(self.theirs) == self.before,
            "the terminal has other settings than before",
        )
        report.expect(
            self.seen.rstrip().endswith(b"\x1b[?25h\x1b[?1049l")
            or b"\x1b[?25h\x1b[?1049l" in self.seen,
            f"{self.seen[-200:]!r}",
        )


def complete(text):
    return "ACQUIRED/S" in text and "HELD >=" in text and re.search(r"\d (ms|s)  bank", text)


def it_shows_threads_and_the_longest_holders():
    with scene() as (name, pid), session(name) as top:
        text = top.wait_for(complete, "a holder whose time is known")
        report.expect(
            text.startswith(
                f"segment {name}: 2 threads alive, 1 waiting, 4 objects, 1 owner death"
            ),
            text,
        )
        rows = [line.split() for line in text.splitlines()]
        report.expect([str(pid), str(pid), "0", "0", "1", "0", "scene"] in rows, text)
        report.expect(
            any(row[3:5] == ["bank", str(pid)] or row[2:4] == ["bank", str(pid)] for row in rows),
            text,
        )
        report.expect(any("drawer" in row and "(dead)" in row for row in rows), text)
        top.press(b"p")
        text = top.wait_for(
            lambda text: "PROCESS" in text and "TID" not in text, "processes instead of threads"
        )
        top.press(b"q")
        top.ends(0)


def it_fits_and_follows_the_size():
    with scene() as (name, _), session(name) as top:
        top.wait_for(complete, "the first screen")
        for columns, rows in ((40, 10), (132, 50), (20, 5), (80, 24)):
            top.seen = b""
            top.resize(columns, rows)
            # Each line ends by clearing its rest: so many lines, none of them longer than the
            # terminal is wide.
            top.wait_for(
                lambda _: top.seen.count(b"\x1b[J") >= 3, f"three screens of {columns}x{rows}"
            )
            report.expect(
                top.seen.rsplit(b"\x1b[J")[-2].count(b"\r\n") < rows, repr(top.seen[-2000:])
            )
            report.expect(
                top.lines()[0]
                == f"segment {name}: 2 threads alive, 1 waiting, 4 objects, 1 owner death"[
                    : columns - 1
                ]
                + "~"
                or columns >= 80,
                "\n".join(top.lines()),
            )
        top.wait_for(complete, "a whole screen again")
        top.resize(132, 8)
        top.wait_for(
            lambda text: len(top.lines()) == 8 and re.search(r"\d (ms|s)  bank", text),
            "a holder on a low screen",
        )
        top.press(b"\x03")
        top.ends(128 + signal.SIGINT)


def signals_give_the_terminal_back():
    for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        with scene() as (name, _), session(name) as top:
            top.wait_for(complete, "the first screen")
            top.process.send_signal(each)
            top.ends(128 + each)


def a_segment_that_goes_is_watched_on():
    with scene() as (name, _), session(name) as top:
        top.wait_for(complete, "the first screen")
        path_of(name).unlink()
        top.wait_for(lambda text: f"segment {name} (removed):" in text, "that it was removed")
        top.press(b"q")
        top.ends(0)


def a_segment_that_is_cut_ends_it():
    with scene() as (name, _), session(name) as top:
        top.wait_for(complete, "the first screen")
        size = path_of(name).stat().st_size
        os.kill(_, signal.SIGSTOP)  # its processes must not touch what is gone
        try:
            os.truncate(path_of(name), size - 4096)
            top.ends(3)
            report.expect(b"found a file of" in top.seen, repr(top.seen[-500:]))
        finally:
            os.truncate(path_of(name), size)
            os.kill(_, signal.SIGCONT)


def without_a_terminal_it_refuses():
    with scene() as (name, _):
        done = subprocess.run(
            [TOOL, "top", name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        report.expect(
            done.returncode == 3
            and done.stderr
            == "outlive top: stdin and stdout must be a terminal (`outlive show` prints once)\n"
            and not done.stdout,
            f"{done.returncode}\n{done.stdout}{done.stderr}",
        )


sys.exit(
    report.run(
        [
            (f"top.{case.__name__}", case)
            for case in [
                it_shows_threads_and_the_longest_holders,
                it_fits_and_follows_the_size,
                signals_give_the_terminal_back,
                a_segment_that_goes_is_watched_on,
                a_segment_that_is_cut_ends_it,
                without_a_terminal_it_refuses,
            ]
        ]
    )
)
