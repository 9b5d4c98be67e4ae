"""What the scripts of this suite share: the tool, and segments to look at."""

import contextlib
import itertools
import os
import pathlib
import re
import subprocess
import sys

import report

TOOL, FOLDER = os.path.abspath(sys.argv[1]), os.path.dirname(os.path.abspath(sys.argv[2]))
SECONDS = 60  # for one run
serial = itertools.count()


def path_of(name):
    return pathlib.Path(f"/dev/shm/outlive.{name}")


@contextlib.contextmanager
def segment_name(end=""):
    name = f"cli-test-{os.getpid()}-{next(serial)}{end}"
    try:
        yield name
    finally:
        path_of(name).unlink(missing_ok=True)


def run(*arguments, env=None, user=None):
    """(exit code, stdout, stderr)"""
    done = subprocess.run(
        [TOOL, *map(str, arguments)],
        user=user,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, **(env or {})},
    )
    return done.returncode, done.stdout, done.stderr


@contextlib.contextmanager
def scene(program="scene", end=""):
    """(name, pid) of a segment as tests/cli/scene.cpp, or another program there, makes it."""
    with scene_process(program, end) as (name, process):
        yield name, process.pid


@contextlib.contextmanager
def scene_process(program="scene", end=""):
    """(name, process) of the same; what the program reads from its stdin is written there."""
    with segment_name(end) as name:
        process = subprocess.Popen(
            [os.path.join(FOLDER, program), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            report.expect(process.stdout.readline() == "ready\n", "the scene is not ready")
            yield name, process
        finally:
            process.stdin.close()
            try:
                process.wait(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def golden(text, name):
    """The text without what differs from run to run: numbers of processes, times, places in code,
    and how wide that makes the columns.
    """
    text = text.replace(name, "NAME")
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", "TIME", text)
    text = re.sub(r"(?<=\()(main|run|die_holding)(?=\))", "FUNCTION", text)
    text = re.sub(r"scene\.cpp:\d+", "scene.cpp:LINE", text)
    text = re.sub(r"\b(\d+ ns|\d+\.\d (us|ms|s))\b", "DURATION", text)
    text = re.sub(r"\b\d{3,}\b", "N", text)
    return [re.sub(r" +", " ", line).strip() for line in text.splitlines()]


def expect_golden(found, name, wanted):
    wanted = [line.strip() for line in wanted.strip().splitlines()]
    report.expect(
        golden(found, name) == wanted,
        "found\n" + "\n".join(golden(found, name)) + "\nexpected\n" + "\n".join(wanted),
    )
