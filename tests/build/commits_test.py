#!/usr/bin/env python3
"""The checker of commit messages finds each kind of fault in a made-up repository.

Usage: commits_test.py ROOT"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import report

ROOT = Path(sys.argv[1])
CHECKER = "tools/dev/check_commits"
GOOD = "Refuse a second lock by the holder\n\nIt would wait for itself.\n"

BAD = {
    "long subject": ("Refuse a second lock " + "x" * 52 + "\n\nWhy.\n", "has 73 columns"),
    "small letter": ("refuse a second lock\n\nWhy.\n", "capital letter"),
    "past tense": ("Refused a second lock\n\nWhy.\n", "imperative"),
    "participle": ("Refusing a second lock\n\nWhy.\n", "imperative"),
    "third person": ("Refuses a second lock\n\nWhy.\n", "imperative"),
    "period": ("Refuse a second lock.\n\nWhy.\n", "ends with a period"),
    "two things": ("Refuse a second lock; log it\n\nWhy.\n", 'has a ";"'),
    "no empty line": ("Refuse a second lock\nand log it\n\nWhy.\n", "no empty line"),
    "no body": ("Refuse a second lock\n", "no body"),
    "trailer for a body": ("Refuse a second lock\n\nSigned-off-by: A <a@example.org>\n", "no body"),
    "long line": (
        "Refuse a second lock\n\n" + "why " * 25 + "x\n",
        "line of the body has 101 columns",
    ),
}
ALSO_GOOD = {
    "longest subject": "Refuse a second lock " + "x" * 51 + "\n\nWhy.\n",
    "imperative that ends as a participle": "Bring the table up to date\n\nWhy.\n",
    "imperative with ss": "Pass the record by value\n\nWhy.\n",
    "longest line": "Refuse a second lock\n\n"
    + "why " * 25
    + "\n\nSigned-off-by: A <a@example.org>\n",
}


class repository:
    """A small repository whose first commit has an old message, and whose second brings the
    checker.
    """

    def __init__(self, folder):
        self.root = Path(folder) / "made_up"
        self.root.mkdir()
        self.git("init", "-q", "-b", "main")
        self.commit("older; messages.")
        (self.root / "tools/dev").mkdir(parents=True)
        shutil.copy(ROOT / CHECKER, self.root / CHECKER)
        self.git("add", CHECKER)
        self.commit("the checker itself.")

    def git(self, *arguments):
        environment = {
            **os.environ,
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_SYSTEM": "/dev/null",
        }
        for who in ("AUTHOR", "COMMITTER"):
            environment |= {f"GIT_{who}_NAME": "a", f"GIT_{who}_EMAIL": "a@example.org"}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        report.expect(done.returncode == 0, f"git {arguments}: {done.stdout}")

    def commit(self, message):
        self.git("commit", "-q", "--allow-empty", "--cleanup=verbatim", "-m", message)

    def check(self, *arguments, root=None):
        return subprocess.run(
            [(root or self.root) / CHECKER, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )


def with_repository(case):
    def run():
        with tempfile.TemporaryDirectory() as folder:
            case(repository(folder))

    return run


def refused(message, expected):
    def case(made_up):
        made_up.commit(GOOD)
        made_up.commit(message)
        done = made_up.check()
        report.expect(
            done.returncode == 1
            and expected in done.stdout
            and done.stdout.endswith("commits: 1 faults\n"),
            done.stdout,
        )

    return case


def accepted(message, number=1):
    def case(made_up):
        made_up.commit(message)
        done = made_up.check()
        report.expect(done.returncode == 0 and f"{number} checked" in done.stdout, done.stdout)

    return case


def what_is_older_is_not_judged(made_up):
    done = made_up.check()
    report.expect(done.returncode == 0 and "0 checked" in done.stdout, done.stdout)


def branch_that_began_before_is_not_judged(made_up):
    made_up.commit(GOOD)
    made_up.git("checkout", "-q", "-b", "old", "main~2")
    made_up.commit("on a branch that has no checker.")
    made_up.git("checkout", "-q", "main")
    made_up.git("merge", "-q", "--no-ff", "-m", "merged; without a body.", "old")
    done = made_up.check()
    report.expect(done.returncode == 0 and "1 checked" in done.stdout, done.stdout)


def range_is_what_is_judged(made_up):
    made_up.commit("bad")
    made_up.commit(GOOD)
    done = made_up.check("HEAD^!")
    report.expect(done.returncode == 0 and "1 checked" in done.stdout, done.stdout)
    report.expect(
        made_up.check("HEAD~2..").returncode == 1, "the commit before the last was accepted"
    )
    report.expect(
        made_up.check("no-such-branch..").returncode == 1,
        "a range that does not exist was accepted",
    )


def clone_of_one_commit_passes(made_up):
    made_up.commit(GOOD)
    shallow = made_up.root.parent / "shallow"
    made_up.git("clone", "-q", "--depth", "1", f"file://{made_up.root}", str(shallow))
    done = made_up.check(root=shallow)
    report.expect(done.returncode == 0 and "0 checked" in done.stdout, done.stdout)


def checker_without_a_commit_passes(made_up):
    made_up.git("rm", "-q", "--cached", CHECKER)
    made_up.git("update-ref", "refs/heads/main", "HEAD~1")
    done = made_up.check()
    report.expect(done.returncode == 0 and "nothing was checked" in done.stdout, done.stdout)


cases = {"good_message_is_accepted": accepted(GOOD)}
cases |= {f"found_{name.replace(' ', '_')}": refused(*bad) for name, bad in BAD.items()}
cases |= {f"accepted_{name.replace(' ', '_')}": accepted(good) for name, good in ALSO_GOOD.items()}
cases |= {
    case.__name__: case
    for case in (
        what_is_older_is_not_judged,
        branch_that_began_before_is_not_judged,
        range_is_what_is_judged,
        clone_of_one_commit_passes,
        checker_without_a_commit_passes,
    )
}
sys.exit(report.run([(f"commits.{name}", with_repository(case)) for name, case in cases.items()]))
