#!/usr/bin/env python3
"""The checker of spelling finds each kind of fault in a made-up repository.

Usage: spelling_test.py ROOT"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import report

ROOT = Path(sys.argv[1])
CHECKER = "tools/dev/check_spelling"
WRONG = "rec" + "ieve"  # in two pieces: this file is checked, too


def check(text, allowed, tracked=True):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "tools/dev").mkdir(parents=True)
        for name in (CHECKER, "tools/dev/setup.sh"):
            shutil.copy(ROOT / name, root / name)
        (root / "tools/dev/allowed_spellings").write_text(allowed)
        (root / ".hidden.cpp").write_text(text)
        subprocess.run(["git", "init", "-q", folder], check=True, timeout=60)
        subprocess.run(
            ["git", "-C", folder, "add", "."] if tracked else ["git", "-C", folder, "add", "tools"],
            check=True,
            timeout=60,
        )
        done = subprocess.run(
            [root / CHECKER],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        return done.returncode, done.stdout


def expect(found, code, text):
    report.expect(
        found[0] == code and text in found[1],
        f"exit code {found[0]}, expected {code} and '{text}':\n{found[1]}",
    )


def good_file_is_accepted():
    expect(check("// receive\n", ""), 0, "no fault")


def misspelling_is_found():
    expect(check(f"int x;  // {WRONG}\n", ""), 1, ".hidden.cpp:1: " + WRONG)


def untracked_file_is_left_alone():
    expect(check(f"// {WRONG}\n", "", tracked=False), 0, "no fault")


def allowed_word_is_accepted():
    expect(check(f"// {WRONG}\n", f"# why\n{WRONG} # a name\n"), 0, "no fault")


def allowed_word_without_reason_is_found():
    expect(check(f"// {WRONG}\n", f"{WRONG}\n"), 1, "has no reason")


def allowed_word_that_is_not_used_is_found():
    expect(check("// receive\n", f"{WRONG} # a name\n"), 1, "in no file any more")


sys.exit(
    report.run(
        [
            (f"spelling.{case.__name__}", case)
            for case in (
                good_file_is_accepted,
                misspelling_is_found,
                untracked_file_is_left_alone,
                allowed_word_is_accepted,
                allowed_word_without_reason_is_found,
                allowed_word_that_is_not_used_is_found,
            )
        ]
    )
)
