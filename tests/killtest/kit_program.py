"""What the scripted tests of the kit share: the program of scenarios, and how it is run. Each is
called with: FOLDER-OF-report.py PROGRAM
"""

import functools
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, sys.argv[1])
PROGRAM = str(Path(sys.argv[2]).resolve())
WRONG = "wrong & <crossed>"  # of its scenarios, the one that fails
LIMIT = 240  # seconds, of a program or a browser: on a machine that has much else to do, too


def run(*arguments, **options):
    return subprocess.run(
        [PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        **options
    )


@functools.cache
def folder():
    """A folder that goes with the script."""
    made = tempfile.TemporaryDirectory(prefix="outlive-killtest-")
    folder.keeps = made
    return Path(made.name)


@functools.cache
def explored():
    """All scenarios once, with every report file in folder()."""
    return run(
        "--images",
        folder() / "images",
        "--junit",
        folder() / "junit.xml",
        "--lcov",
        folder() / "kill.info",
        "--sarif",
        folder() / "kill.sarif",
        "--html",
        folder() / "kill.html",
    )
