#!/usr/bin/env python3
"""The completion of bash and zsh offers the commands, their options and columns, and the segments.

Usage: completion_test.py OUTLIVE PROGRAM_OF_THE_SUITE"""

import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import time

import report
from tool import SECONDS, TOOL, path_of, run, segment_name

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "tools/outlive/completion"


def bash(*words):
    """What bash offers for the last of the words."""
    program = (
        f"source {SCRIPTS}/outlive.bash\n"
        'COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _outlive\n'
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "-c", program, "bash", TOOL, *words],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    report.expect(
        done.returncode == 0 and not done.stderr, f"exit code {done.returncode}: {done.stderr}"
    )
    return set(done.stdout.split())


def commands():
    return set(re.findall(r"^  ([a-z]+) ", run("--help")[1].split("Subcommands:")[1], re.MULTILINE))


def bash_offers_every_command():
    report.expect(
        {"ls", "show", "top", "deaths", "check", "rm", "metrics", "torture"} <= commands(),
        str(commands()),
    )
    report.expect(
        bash("") == commands() | {"--help", "--version"}, f"{bash('')}, expected {commands()}"
    )
    report.expect(bash("d") >= {"deaths"} and "ls" not in bash("d"), str(bash("d")))


def bash_offers_each_option_of_the_help():
    for command in commands():
        words = set(re.findall(r"^  (?:-\w,)?(--[a-z-]+)", run(command, "--help")[1], re.MULTILINE))
        report.expect(
            "--help" in words and bash(command, "--") == words,
            f"{command}: {bash(command, '--')}, expected {words}",
        )


def bash_offers_columns():
    report.expect(
        {"name", "size_bytes", "problem"} <= bash("ls", "-o", ""), str(bash("ls", "-o", ""))
    )
    report.expect(bash("ls", "-o", "name,own") == {"name,owner"}, str(bash("ls", "-o", "name,own")))


def bash_offers_segments():
    with segment_name() as name:
        path_of(name).write_bytes(b"")
        report.expect(bash("show", name[:-1]) >= {name}, str(bash("show", name[:-1])))
    report.expect(bash("show", name) == set(), "a segment that has gone")
    report.expect(
        bash("torture", "--segment", "x", "--", "p") == set(),
        "something for a program of the user's",
    )


def zsh_offers_commands():
    if not shutil.which("zsh"):
        raise report.skip("zsh is not installed")
    ours, theirs = pty.openpty()
    folder = os.path.dirname(TOOL)
    shell = subprocess.Popen(
        ["zsh", "-f", "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={"PATH": f"{folder}:/usr/bin:/bin", "TERM": "dumb", "HOME": "/nonexistent"},
    )
    os.close(theirs)
    seen = b""

    def wait_for(token):
        nonlocal seen
        end = time.monotonic() + SECONDS
        while token not in seen:
            report.expect(time.monotonic() < end, f"zsh: no {token!r} in {seen!r}")
            if select.select([ours], [], [], 0.1)[0]:
                seen += os.read(ours, 4096)

    try:
        os.write(
            ours,
            (
                f"PS1='> '; fpath=({SCRIPTS} $fpath); autoload -Uz compinit; compinit -u -D; "
                "print re''ady\n"
            ).encode(),
        )
        wait_for(b"ready\r\n")
        seen = b""
        os.write(ours, b"outlive dea\t")
        wait_for(b"deaths ")
        os.write(ours, b"--nohea\t")
        wait_for(b"--noheadings ")
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


sys.exit(
    report.run(
        [
            (f"completion.{case.__name__}", case)
            for case in [
                bash_offers_every_command,
                bash_offers_each_option_of_the_help,
                bash_offers_columns,
                bash_offers_segments,
                zsh_offers_commands,
            ]
        ]
    )
)
