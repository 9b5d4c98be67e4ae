#!/usr/bin/env python3
"""Run the showcase: it counts right while it is killed, says so in figures that fit together, and
is able to fail.

Usage: worker_pool_test.py WORKER_POOL WORKER_POOL_BROKEN; the second one is built without its
repair.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

POOL, BROKEN = (os.path.abspath(path) for path in sys.argv[1:3])
SECONDS = 200  # for one run, under sanitizers too
KILLS = 40


class Failure(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Failure(text)


def start(program, *arguments):
    return subprocess.Popen(
        [program, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def group_ends(group):
    """True when no process of the group is left; a killed one takes a moment to go."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    os.killpg(group, signal.SIGKILL)
    return False


def run(program, *arguments):
    """(exit code, stdout, stderr), once no process is left."""
    process = start(program, *arguments)
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise Failure(f"still running after {SECONDS} s") from None
    expect(group_ends(process.pid), "left processes behind")
    return process.returncode, out, err


def small_text(folder):
    """Some chunks with words that all have, words of their own, and words that are too long."""
    path = pathlib.Path(folder) / "text"
    words = [f"word{i % 900} common été x_{i} {'long' * (i % 20)}" for i in range(4000)]
    path.write_text(" ".join(words))
    return path


def figures(out):
    return json.loads(out.splitlines()[-1])


def counts_are_identical_under_kills():
    with tempfile.TemporaryDirectory() as folder:
        code, out, err = run(
            POOL, small_text(folder), "--workers", 4, "--kills", 5 * KILLS, "--seed", 7, "--json"
        )
    expect(code == 0, f"exit code {code}\n{out}{err}")
    got = figures(out)
    expect(got["identical"] is True and got["unanswered"] == 0, out)
    expect(got["seed"] == 7 and got["workers"] == 4, out)
    expect(got["kills"] >= 5 * KILLS, out)  # on a busy machine, of 40 none met a lock
    expect(0 < got["killed_holding"] <= got["kills"], out)
    # Whoever dies holding is repaired; one killed just before or after what it tells as "holding"
    # may be, too.
    expect(got["killed_holding"] <= got["repairs"] <= got["kills"], out)
    expect(0 < got["rolled_forward"] + got["rolled_back"] <= got["repairs"], out)
    expect(0 < got["recovery_us_median"] <= got["recovery_us_max"], out)
    expect(got["words"] == words_of_small_text() and got["passes"] >= 1, out)


def words_of_small_text():
    return sum(4 if i % 20 == 0 else 5 for i in range(4000))


def a_run_without_kills_counts_once():
    with tempfile.TemporaryDirectory() as folder:
        code, out, err = run(POOL, small_text(folder), "--kills", 0, "--json")
    expect(code == 0, f"exit code {code}\n{out}{err}")
    got = figures(out)
    expect(got["identical"] is True and got["passes"] == 1, out)
    expect(got["kills"] == got["killed_holding"] == got["repairs"] == 0, out)
    expect(got["recovery_us_median"] is None, out)


def without_its_repair_the_counts_differ():
    """Proof that the comparison is able to fail.

    A kill between two stores into slots is likely, not certain. Of runs of 40 kills, a third shows
    a difference: hence more kills, and several seeds.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = small_text(folder)
        for seed in range(1, 9):
            code, out, err = run(BROKEN, path, "--kills", 5 * KILLS, "--seed", seed, "--json")
            if code == 0:
                continue
            expect(code == 1, f"exit code {code}\n{out}{err}")
            expect(figures(out)["identical"] is False and "DIFFER" in out, out)
            expect(": expected " in err and "  death " in err, err)
            return
    raise Failure("eight runs without a repair, and no difference was found")


def sigint_leaves_nothing_behind():
    with tempfile.TemporaryDirectory() as folder:
        process = start(POOL, small_text(folder), "--kills", 1000000)
        try:
            line = process.stderr.readline()  # once a second where there is no terminal
            expect(" kills, " in line, f"no progress line: {line}")
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        expect(
            process.returncode == 130 and "interrupted" in err,
            f"exit code {process.returncode}\n{err}",
        )
        expect(group_ends(process.pid), "left workers behind")


def workers_die_with_their_parent():
    with tempfile.TemporaryDirectory() as folder:
        process = start(POOL, small_text(folder), "--kills", 1000000)
        try:
            line = process.stderr.readline()
            expect(" kills, " in line, f"no progress line: {line}")
        finally:
            process.kill()
            process.communicate(timeout=SECONDS)
        expect(group_ends(process.pid), "left workers behind")


def wrong_usage_is_refused():
    with tempfile.TemporaryDirectory() as folder:
        empty = pathlib.Path(folder) / "empty"
        empty.write_text(" .,\n")
        for arguments, message in [
            (["--no-such-option"], "unknown option '--no-such-option'"),
            ([empty.parent / "missing"], "no such file"),
            ([empty], "no word"),
            (["--workers", "0"], "from 1 to 64, not '0'"),
            (["--workers", "65"], "from 1 to 64"),
            (["--kills", "-1"], "not '-1'"),
            (["--kills", "1x"], "not '1x'"),
            (["--seed", ""], "--seed takes a number"),
            (["--seed"], "--seed needs a number"),
        ]:
            code, out, err = run(POOL, *arguments)
            expect(
                code == 2 and message in err and not out,
                f"{arguments}: exit code {code}\n{out}{err}",
            )


def main():
    failed = 0
    for case in [
        counts_are_identical_under_kills,
        a_run_without_kills_counts_once,
        without_its_repair_the_counts_differ,
        sigint_leaves_nothing_behind,
        workers_die_with_their_parent,
        wrong_usage_is_refused,
    ]:
        try:
            case()
            print(f"PASS: worker_pool.{case.__name__}", flush=True)
        except Failure as failure:
            failed += 1
            print(f"FAIL: worker_pool.{case.__name__}: {failure}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
