#!/usr/bin/env python3
"""Run the example prefork: its hit counter is exact while its workers are killed at random moments,
and crash by themselves; it starts as many as have died; its page shows that.

Usage: prefork_test.py PREFORK PREFORK_BROKEN [KILLS]

PREFORK_BROKEN was built without its repair. KILLS: those of a run; otherwise the environment
variable OUTLIVE_PREFORK_KILLS says it, which tools/test sets, or it is 100.
"""

import contextlib
import functools
import http.client
import json
import os
import pathlib
import random
import re
import signal
import struct
import subprocess
import sys
import threading
import time

import browser
import report

PREFORK, BROKEN = (os.path.abspath(path) for path in sys.argv[1:3])
KILLS = int(sys.argv[3] if len(sys.argv) > 3 else os.environ.get("OUTLIVE_PREFORK_KILLS", "100"))
WORKERS, CLIENTS = 4, 3
LONGEST_PAUSE = 0.005  # between two kills
MUTEX_BYTES = 64  # a robust_mutex
SECONDS = 60 + KILLS / 10  # for a run, under sanitizers too


class server:
    """A running prefork, and what it has printed."""

    def __init__(self, program, *arguments, within=()):
        self.process = subprocess.Popen(
            [*within, program, "--port", "0", "--workers", str(WORKERS), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.end = time.monotonic() + SECONDS
        first = self.process.stdout.readline()
        report.expect(first.startswith("http://127.0.0.1:"), f"it says {first!r}")
        self.url = first.strip()
        self.port = int(first.rstrip("/\n").rpartition(":")[2])
        self.alive, self.started, self.deaths, self.other = set(), 0, [], []
        self.signalled, self.kills = set(), 0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            if found := re.match(r"worker (\d+): started$", line):
                self.alive.add(int(found[1]))
                self.started += 1
            elif re.match(r"pid \d+ \(.*?\) tid \d+ ", line):
                pass  # a sweep met a worker that was just ending; its end follows
            elif found := re.match(r"pid (\d+) \(.*?\) (.*): ", line):
                self.alive.discard(int(found[1]))
                self.deaths.append(found[2])
                # A worker may also have crashed before the signal came.
                if int(found[1]) in self.signalled and found[2] == "was killed by SIGKILL":
                    self.kills += 1
                self.signalled.discard(int(found[1]))
            else:
                self.other.append(line)

    def get(self, target):
        """The body of the answer, however often that has to be asked for."""
        while time.monotonic() < self.end:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", target)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            connection.close()
        raise report.check_failed(f"no answer to {target} in {SECONDS} s")

    def visitor(self):
        _, text = self.get("/")
        return int(re.search(r"const visitor = (\d+);", text)[1])

    def visit(self, visitor, number):
        """Counts the visit; how many hits there are."""
        status, text = self.get(f"/hit?visitor={visitor}&visit={number}")
        report.expect(status == 200, f"visit {number} of visitor {visitor}: {status} {text}")
        return json.loads(text)["hits"]

    def kill_a_worker(self):
        """By its handle, so that no other process is killed; each one once."""
        pid = random.choice(list(self.alive) or [0])
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(pid)
            try:
                # The pid may have been another's when the handle was opened.
                if parent_of(pid) == self.process.pid:
                    self.signalled.add(pid)
                    self.alive.discard(pid)
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)

    def stop(self, pid=None):
        """(exit code, its last line), once nothing is left of it. The pid, if it is another's than
        the process's that was started."""
        os.kill(pid or self.process.pid, signal.SIGTERM)
        code = self.process.wait(timeout=SECONDS)
        self._reader.join()
        report.expect(group_ends(self.process.pid), "it left processes behind")
        return code, self.other[-1]

    def kill(self):
        # Before its end is waited for, the group's number is its own.
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._reader.join()
        self.process.stdout.close()


def stat_of(pid):
    """(state, parent)"""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], int(fields[1])


def parent_of(pid):
    return stat_of(pid)[1]


def children_of(parent):
    """(pid, state) of each."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            state, its_parent = stat_of(entry)
            if its_parent == parent:
                found.append((int(entry), state))
    return found


def zombies_of(parent):
    return [pid for pid, state in children_of(parent) if state == "Z"]


def until(condition, what):
    end = time.monotonic() + SECONDS
    while not condition():
        report.expect(time.monotonic() < end, f"{what} within {SECONDS} s")
        time.sleep(0.005)


def group_ends(group):
    """True when no process of the group is left; a killed one takes a moment to go."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


@contextlib.contextmanager
def running(program, *arguments, within=()):
    one = server(program, *arguments, within=within)
    try:
        yield one
    finally:
        one.kill()


class client(threading.Thread):
    """Visits until it is asked to stop. Its visits: those that were answered."""

    def __init__(self, one):
        super().__init__()
        self.one, self.visits, self.stopping, self.failure = one, 0, False, None
        self.start()

    def run(self):
        try:
            visitor = self.one.visitor()
            while not self.stopping:
                self.one.visit(visitor, self.visits + 1)
                self.visits += 1
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error


@contextlib.contextmanager
def page_of(one):
    """The page in a browser, counting; None where there is no browser."""
    if browser.program() is None:
        yield None
        return
    with browser.opened(SECONDS) as page:
        loaded = False
        while not loaded:  # the worker may have died in the middle of the page
            page.open(one.url)
            loaded = page.value("typeof visitor == 'number'")
        page.until("visits > 0")
        yield page


def shown(page):
    names = ("hits", "visits", "lost", "worker", "deaths", "repairs", "state")
    return {
        name: page.value(f"document.getElementById('{name}').textContent") for name in names
    }


@functools.cache
def outcome():
    """(what came of the run under kills, why it failed)"""
    try:
        return run_under_kills(), None
    except report.check_failed as failure:
        return None, failure


def storm():
    found, failure = outcome()
    if failure:
        raise failure
    return found


def run_under_kills():
    found = {}
    with running(PREFORK, "--crash-one-in", 300) as one:
        with page_of(one) as page:
            clients = [client(one) for _ in range(CLIENTS)]
            while one.kills < KILLS:
                report.expect(time.monotonic() < one.end, f"{one.kills} kills in {SECONDS} s")
                one.kill_a_worker()
                time.sleep(random.uniform(0, LONGEST_PAUSE))
            print(f"prefork: {one.kills} kills", flush=True)
            for each in clients:
                each.stopping = True
            for each in clients:
                each.join()
                report.expect(each.failure is None, f"a client failed: {each.failure}")
            if page:
                found["alive"] = page.value("visits")
                page.until("visits > " + str(found["alive"]))
                page.value("document.getElementById('button').click()")
                page.until("document.getElementById('state').textContent != 'visiting'")
                found["page"] = shown(page)
                found["page_visits"] = page.value("visits")
        found["visits"] = sum(each.visits for each in clients) + found.get("page_visits", 0)
        visitor = one.visitor()
        found["hits"] = one.visit(visitor, 1) - 1  # once more than what the others have done
        until(lambda: len(one.alive) == WORKERS, "the workers are there again")
        until(lambda: not zombies_of(one.process.pid), "the dead are reaped")
        found["code"], found["last"] = one.stop()
        found.update(started=one.started, deaths=one.deaths, other=one.other)
    return found


def hits_are_exact_under_random_kills():
    found = storm()
    report.expect(
        found["hits"] == found["visits"],
        f"{found['hits']} hits were counted, and {found['visits']} visits were answered",
    )
    report.expect(found["visits"] >= CLIENTS, f"{found['visits']} visits")
    total = found["visits"] + 1
    report.expect(
        found["code"] == 0 and found["last"].startswith(f"{total} hits, {total} visits; "),
        f"exit code {found['code']}: {found['last']}",
    )


def each_death_is_reported_once_and_each_worker_replaced():
    found = storm()
    report.expect(
        found["started"] == len(found["deaths"]),
        f"{found['started']} workers were started, {len(found['deaths'])} ends reported",
    )
    ways = {way: found["deaths"].count(way) for way in set(found["deaths"])}
    report.expect(ways.get("was killed by SIGKILL", 0) >= KILLS, f"they ended so: {ways}")
    # The last ones; of them one may have crashed in its last request.
    report.expect(0 < ways.get("exited with code 0", 0) <= WORKERS, f"they ended so: {ways}")
    report.expect(len(found["other"]) == 1, "".join(found["other"]))


def its_page_counts_under_random_kills():
    if browser.program() is None:
        raise report.skip("chromium is not installed")
    page = storm()["page"]
    report.expect(
        page["state"] == "stopped" and int(page["visits"]) == storm()["page_visits"] > 0,
        f"the page shows {page}",
    )
    report.expect(int(page["visits"]) <= int(page["hits"]) <= storm()["hits"], f"it shows {page}")
    report.expect(int(page["deaths"]) > 0, f"the page shows {page}")


def without_its_repair_the_hits_are_wrong():
    """Proof that the comparison is able to fail."""
    with running(BROKEN, "--crash-one-in", 10) as one:
        visitor = one.visitor()
        for number in range(1, 101):
            hits = one.visit(visitor, number)
        code, last = one.stop()
    report.expect(hits != 100 and code == 1, f"{hits} hits, exit code {code}: {last}")


def damage_the_counters_mutex(pid, hits):
    """It lies before the counter, which is found by its hits and those of its first visitor."""
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    with open(f"/proc/{pid}/mem", "r+b") as memory:
        for line in maps.splitlines():
            if "memfd:" not in line:
                continue
            first, last = (int(number, 16) for number in line.split()[0].split("-"))
            memory.seek(first)
            at = memory.read(last - first).find(struct.pack("<qqq", hits, hits, 0))
            if at >= 0:
                memory.seek(first + at - MUTEX_BYTES)
                memory.write(b"\xff" * MUTEX_BYTES)
                memory.flush()
                return
    raise report.check_failed("there is no counter in the memory of the server")


def an_exception_in_a_worker_ends_that_worker_alone():
    """It must not unwind into the code of the parent, which would end its supervisor there."""
    with running(PREFORK) as one:
        visitor = one.visitor()
        report.expect(visitor == 0, f"the first visitor is {visitor}")
        for number in range(1, 8):
            one.visit(visitor, number)
        until(lambda: len(one.alive) == WORKERS, "the workers are there")
        damage_the_counters_mutex(one.process.pid, 7)
        connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=SECONDS)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", f"/hit?visitor={visitor}&visit=8")
            connection.getresponse()
        connection.close()
        until(lambda: one.deaths, "the end of a worker is reported")
        until(lambda: len(one.alive) == WORKERS, "another one is started")
        report.expect(one.deaths == ["exited with code 1"], f"they ended so: {one.deaths}")
        report.expect(one.get("/")[0] == 200, "the page is served")


def as_process_1_of_a_container_it_is_as_right():
    container = ["unshare", "-pf", "--mount-proc", "--kill-child"]
    if subprocess.run([*container, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        raise report.skip("no PID namespace can be made here")
    with running(PREFORK, "--crash-one-in", 10, within=container) as one:
        visitor = one.visitor()
        hits = [one.visit(visitor, number) for number in range(1, 51)]
        ((first, _),) = children_of(one.process.pid)
        until(lambda: not zombies_of(first), "the dead are reaped")
        code, last = one.stop(first)
    report.expect(
        hits == list(range(1, 51)) and code == 0 and last.startswith("50 hits, 50 visits; "),
        f"{hits} hits, exit code {code}: {last}",
    )
    report.expect(one.started == len(one.deaths) > WORKERS, f"{one.started}: {one.deaths}")


def its_workers_die_with_it():
    with running(PREFORK) as one:
        until(lambda: len(one.alive) == WORKERS, "the workers are there")
        one.process.kill()
        one.process.wait()
        report.expect(group_ends(one.process.pid), "it left workers behind")


def wrong_usage_is_refused():
    for arguments in (["--port", "65536"], ["--workers", "0"], ["--workers"], ["--kill", "1"]):
        done = subprocess.run(
            [PREFORK, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        report.expect(
            done.returncode == 2 and "Usage:" in done.stderr and not done.stdout,
            f"{arguments}: exit code {done.returncode}\n{done.stdout}{done.stderr}",
        )


sys.exit(
    report.run(
        [
            (f"prefork.{case.__name__}", case)
            for case in [
                hits_are_exact_under_random_kills,
                each_death_is_reported_once_and_each_worker_replaced,
                its_page_counts_under_random_kills,
                without_its_repair_the_hits_are_wrong,
                an_exception_in_a_worker_ends_that_worker_alone,
                as_process_1_of_a_container_it_is_as_right,
                its_workers_die_with_it,
                wrong_usage_is_refused,
            ]
        ]
    )
)
