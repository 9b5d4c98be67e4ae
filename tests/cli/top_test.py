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
import unicodedata

import report
from tool import SECONDS, TOOL, path_of, scene, scene_process

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
        self.unread = b""  # of next_screen()
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

    def read_output(self, patience=0.05):
        """Returns: whether there was some. A terminal gives 4 KiB at most in one read."""
        if not select.select([self.ours], [], [], patience)[0]:
            return False
        part = os.read(self.ours, 65536)
        self.seen += part
        self.stream.feed(part)
        return True

    def next_screen(self):
        """The text of each screen that was drawn, one a call. Not to be mixed with wait_for(),
        which looks at what is there after a read, and may miss screens.
        """
        end = time.monotonic() + SECONDS
        while b"\x1b[J" not in self.unread:
            report.expect(time.monotonic() < end, f"no screen within {SECONDS} s")
            if select.select([self.ours], [], [], SECONDS)[0]:
                self.unread += os.read(self.ours, 65536)
        screen, ended, self.unread = self.unread.partition(b"\x1b[J")
        self.stream.feed(screen + ended)
        return "\n".join(self.lines())

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
        while self.read_output(patience=0):
            pass
        report.expect(
            self.process.poll() == code,
            f"exit code {self.process.poll()}, expected {code}\n{self.seen[-500:]!r}",
        )
        report.expect(
            termios.tcgetattr(self.theirs) == self.before,
            "the terminal has other settings than before",
        )
        report.expect(
            b"\x1b[?25h\x1b[?1049l" in self.seen,
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


def mutexes_of(text):
    """The rows below MUTEX: [waiters, time, unit, name, holder ...], or without time and unit."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if " MUTEX" in line)
    rows = []
    for line in lines[start + 1 :]:
        if not line.strip():
            break
        rows.append(line.split())
    return rows


def names_of(text):
    return [row[3] if row[2] in ("ms", "s", "us") else row[2] for row in mutexes_of(text)]


def seconds_of(row):
    """How long a mutex has been held, by its row; nothing if it does not say."""
    units = {"us": 1e-6, "ms": 1e-3, "s": 1}
    return float(row[1]) * units[row[2]] if row[2] in units else None


def the_contended_mutex_comes_first():
    with scene_process("crowd_scene") as (name, process), session(name) as top:
        pid = process.pid
        # also later, when the others have been held for as long
        for _ in range(3):
            text = top.wait_for(
                lambda text: "MUTEX" in text and re.search(r"^ +5 .*\bhot ", text, re.M),
                "the mutex that 5 threads wait for",
            )
            report.expect(names_of(text)[0] == "hot" and mutexes_of(text)[0][0] == "5", text)
        report.expect(re.search(r" hot .* crowd_scene\.cpp:\d+ ", text), text)  # not cut

        # and when the others have been held for longer
        def is_younger_and_first(text):
            if "MUTEX" not in text:
                return False
            first, other = mutexes_of(text)[:2]
            ages = seconds_of(first), seconds_of(other)
            return first[0] == "5" and first[3] == "hot" and None not in ages and ages[0] < ages[1]

        process.stdin.write("h")
        process.stdin.flush()
        text = top.wait_for(is_younger_and_first, "the mutex first that is held for a shorter time")
        # its holder is the first thread
        lines = text.splitlines()
        first = lines[next(i for i, line in enumerate(lines) if "THREAD" in line) + 1].split()
        report.expect(first[0] == str(pid) and first[1] != str(pid) and first[4] == "1", text)
        report.expect(len(lines) <= 24 and max(map(len, lines)) <= 80, text)


def s_sorts_by_something_else():
    with scene("crowd_scene") as (name, _), session(name) as top:
        top.wait_for(lambda text: "sorted by waiters" in text, "the order")
        for order in ("time", "rate", "name"):
            top.press(b"s")
            top.wait_for(lambda text: f"sorted by {order}" in text, f"the order {order}")
        text = top.wait_for(
            lambda text: "idle-10" in text and names_of(text) == sorted(names_of(text)), "names"
        )
        report.expect(len(names_of(text)) > 5, text)
        top.press(b"s")
        top.wait_for(lambda text: "MUTEX" in text and names_of(text)[0] == "hot", "waiters again")


def a_filter_leaves_only_its_lines():
    with scene("crowd_scene") as (name, _), session(name) as top:
        top.wait_for(lambda text: "/ filter" in text, "the first screen")
        top.press(b"/IDLE-33x")
        top.wait_for(lambda text: "/IDLE-33x_" in text and not mutexes_of(text), "what was typed")
        top.press(b"\x7f\r")
        text = top.wait_for(
            lambda text: "/ only IDLE-33" in text and names_of(text) == ["idle-33"], "one mutex"
        )
        report.expect("mutexes 1 of 1" in text, text)
        top.press(b"s")  # no text any more
        top.wait_for(lambda text: "sorted by time" in text, "another order")
        top.press(b"\x1b")
        top.wait_for(lambda text: "/ filter" in text and len(names_of(text)) > 1, "all lines")
        top.press(b"/\xc3\xa4b\x7f\x7f")  # the last of these removes a character of two bytes
        top.wait_for(lambda text: "\n/_" in text, "nothing typed")
        top.press(b"q\x1bq")
        top.ends(0)


def keys_scroll_what_does_not_fit():
    with scene("crowd_scene") as (name, _), session(name) as top:
        text = top.wait_for(lambda text: "mutexes 1 of 4" in text, "the place")
        seen = names_of(text)
        for key, place in ((b"\x1b[B", 2), (b"\x1bOB", 3), (b"\x1b[A", 2), (b"\x1b[6~", 14)):
            top.press(key)
            top.wait_for(lambda text: f"mutexes {place} of 4" in text, f"{key} leads to {place}")
        top.press(b"\x1b[F")
        text = top.wait_for(
            lambda text: not re.search(r"mutexes (1|2|14) of", text), "the end"
        )
        report.expect(len(names_of(text)) == len(seen) and "hot" not in names_of(text), text)
        top.press(b"\x1b[H")
        top.wait_for(lambda text: "mutexes 1 of 4" in text, "the begin")
        top.resize(80, 14)  # too low for all threads
        top.press(b"\t")
        top.wait_for(lambda text: re.search(r"threads 1 of \d", text), "the threads to scroll")
        top.press(b"\x1b[B")
        top.wait_for(lambda text: re.search(r"threads 2 of \d", text), "the second thread")
        top.press(b"\x1b[99~\x1b[200;5~z")  # keys without a meaning
        top.press(b"q")
        top.ends(0)


def help_explains_keys_and_columns():
    with scene("crowd_scene") as (name, _), session(name) as top:
        top.wait_for(lambda text: "? help" in text, "the first screen")
        top.press(b"?")
        text = top.wait_for(lambda text: "Any key goes on." in text, "all of the help in 24 lines")
        top.seen = b""
        text = top.wait_for(lambda _: top.seen.count(b"\x1b[J") >= 4, "four more screens")
        report.expect("~" not in text.partition("\n")[2], text)
        for word in ("quit", "ACQUIRED/S", "WAITERS", "HELD >=", "LEASED >=", "(dead)"):
            report.expect(word in text, text)
        top.press(b" ")
        top.wait_for(lambda text: "MUTEX" in text, "the tables again")
        top.press(b"?q")
        top.ends(0)


def rates_count_workers_that_live_shortly():
    """Each worker is ended when a screen shows it: what the first one says of it is what counts."""
    known, has_rate, rates = set(), False, False
    with scene_process("crowd_scene") as (name, process), session(name, rows=60) as top:
        end = time.monotonic() + SECONDS
        while not (has_rate and rates):
            text = top.next_screen()
            report.expect(time.monotonic() < end, f"no rate within {SECONDS} s\n{text}")
            if "no rates before the second look" in text:
                continue
            # PID TID ACQUIRED/S WAITED/S HOLDS WAITING THREAD; its name is that of its process
            for row in re.findall(r"^ *(\d+) +\1 +(\S+) .*\bchurn$", text, re.M):
                report.expect(row[1] != "-", f"no rate at the first look\n{text}")
                if row[0] not in known:
                    known.add(row[0])
                    # 0 if the look came before its first lock: then the next one has to show it
                    has_rate = has_rate or row[1] != "0"
                    process.stdin.write(".")
                    process.stdin.flush()
            rates = rates or re.search(
                r"^a second: [1-9]\d* acquired, \d+ waited for, ([1-9]|0\.[1-9])", text, re.M
            )


def wide_characters_fill_two_cells():
    """A name of 50 Chinese characters is 100 cells wide."""
    odd = "\u9280\u884c" * 25 + "e\u0301"
    with scene(end=odd) as (name, _), session(name) as top:
        for columns in (80, 41, 40):
            top.seen = b""
            top.resize(columns, 24)
            top.wait_for(lambda _: top.seen.count(b"\x1b[J") >= 3, f"three screens of {columns}")
            # as it was sent: a terminal would break the line
            sent = re.sub(rb"\x1b\[\d*m", b"", top.seen.rsplit(b"\x1b[H")[-2])
            for line in sent.decode(errors="replace").split("\r\n"):
                text = line.partition("\x1b")[0]
                cells = sum(
                    0
                    if unicodedata.combining(each)
                    else 2 if unicodedata.east_asian_width(each) in "WF" else 1
                    for each in text
                )
                report.expect(cells <= columns, f"{cells} cells of {columns}: {text}")
            report.expect("\u9280" in sent.decode(), repr(sent))


def queues_and_permits_are_shown():
    with scene("companions_scene") as (name, pid), session(name, columns=132) as top:
        text = top.wait_for(
            lambda text: re.search(rf"^jobs +open +2 +2 +1 +8 +[\d.]+ \w+ +{pid} ", text, re.M),
            "the queue with its oldest lease",
        )
        report.expect(re.search(r"^desks +4 +1 +1 ", text, re.M), text)
        report.expect("? help" in text.splitlines()[-1], text)
        top.press(b"\t")
        top.wait_for(lambda text: "queues 1 of 2" in text, "the queues to scroll")


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
                the_contended_mutex_comes_first,
                s_sorts_by_something_else,
                a_filter_leaves_only_its_lines,
                keys_scroll_what_does_not_fit,
                help_explains_keys_and_columns,
                rates_count_workers_that_live_shortly,
                wide_characters_fill_two_cells,
                queues_and_permits_are_shown,
                without_a_terminal_it_refuses,
            ]
        ]
    )
)
