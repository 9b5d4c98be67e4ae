#!/usr/bin/env python3
"""A program of the guide ends well, and prints what the guide shows of it.

Usage: guide_output_test.py PAGE PROGRAM

The page has <!-- prints: NAME --> before a block of what NAME prints. Numbers differ from compiler
to compiler, and so may the places of the kills, which are indented deeper: those are not compared.
"""

import re
import subprocess
import sys
from pathlib import Path

import report

PAGE, PROGRAM = Path(sys.argv[1]), Path(sys.argv[2])
BLOCK = re.compile(rf"<!-- prints: {PROGRAM.name} -->\n```text\n(.*?)```", re.DOTALL)


def kinds_of(text):
    """The lines that are compared, without numbers and times."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("    ")]
    lines = [re.sub(r" \(\d+ ms, [\w ]+\)$", "", line) for line in lines]
    lines = [re.sub(r"^(  then: found) .*", r"\1", line) for line in lines]
    return [re.sub(r"\d+", "N", line) for line in lines]


def it_prints_what_the_guide_shows():
    shown = [line for block in BLOCK.findall(PAGE.read_text()) for line in kinds_of(block)]
    report.expect(shown, f"{PAGE} shows nothing of {PROGRAM.name}")
    done = subprocess.run([PROGRAM], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    report.expect(
        done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    )
    printed = kinds_of(done.stdout)
    missing = [line for line in shown if line not in printed]
    report.expect(not missing, "\n".join([*missing, "is not in", *printed]))


sys.exit(
    report.run([(f"{PROGRAM.name}.it_prints_what_the_guide_shows", it_prints_what_the_guide_shows)])
)
