#!/usr/bin/env python3
"""The house is in order: what lies at the top, how long files are, and that scripts say how they
are used.

Usage: house_test.py ROOT"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import report

ROOT = Path(sys.argv[1])
TOP = {
    "lib",
    "include",
    "tests",
    "tools",
    "docs",
    "meson.build",
    "meson_options.txt",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
}
LINE_MAX = 100


def repository_files():
    done = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    return sorted(
        {ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()}
    )


FILES = repository_files()


def first_line(path):
    with open(path, "rb") as file:
        return file.readline().decode(errors="replace")


def top_level():
    found = {path.relative_to(ROOT).parts[0] for path in FILES}
    found = {name for name in found if not name.startswith(".")}
    report.expect(found == TOP, f"missing: {sorted(TOP - found)}, too much: {sorted(found - TOP)}")


def long_lines(text):
    """Numbers of the lines beyond LINE_MAX that could be broken: not a word of that length, not
    text that is printed as it stands.
    """
    raw = False
    for number, line in enumerate(text.splitlines(), 1):
        begins = re.search(r'R"(\w*)\(', line)
        if (
            len(line) > LINE_MAX
            and not raw
            and not begins
            and max(map(len, line.split())) < LINE_MAX // 2
        ):
            yield number
        raw = bool(begins) or raw
        if re.search(r'\)\w*"', line):
            raw = False


def line_lengths():
    code = [
        path
        for path in FILES
        if path.suffix in (".hpp", ".cpp", ".py", ".sh", ".bash")
        or path.name in ("meson.build", "meson_options.txt")
        or first_line(path).startswith("#!")
    ]
    long = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in code
        for number in long_lines(path.read_text())
    ]
    report.expect(code and not long, f"lines of more than {LINE_MAX} columns:\n" + "\n".join(long))
    report.expect(
        list(long_lines("x " * 51)) == [1] and not list(long_lines('R"(\n' + "x " * 51 + '\n)"')),
        "a long line is not found",
    )


def scripts():
    found = [path for path in FILES if first_line(path).startswith("#!")]
    report.expect(found, "no script found")
    for path in found:
        report.expect(
            os.access(path, os.X_OK), f"{path.relative_to(ROOT)} is a script and not executable"
        )
    return found


def bash_syntax():
    bash = [path for path in scripts() if "bash" in first_line(path)] + [
        path for path in FILES if path.suffix == ".sh"
    ]
    for path in bash:
        done = subprocess.run(["bash", "-n", path], capture_output=True, text=True, timeout=60)
        report.expect(done.returncode == 0, done.stderr)
        if path.suffix != ".sh":
            report.expect(
                "\nset -euo pipefail\n" in path.read_text(),
                f"{path.relative_to(ROOT)} goes on after an error",
            )


def python_syntax():
    for path in FILES:
        if path.suffix == ".py":
            ast.parse(path.read_text(), str(path))


def help_texts():
    for name in ("demo", "test", "bench"):
        for option in ("-h", "--help"):
            done = subprocess.run(
                [ROOT / "tools" / name, option],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                env={"PATH": "/usr/bin:/bin"},
            )
            report.expect(
                done.returncode == 0
                and done.stdout.startswith(f"Usage: tools/{name}")
                and not done.stderr,
                f"tools/{name} {option}: exit code {done.returncode}\n{done.stdout}{done.stderr}",
            )


def wrong_usage():
    for arguments in (["--no-such-option"], ["--suite", "no-such-suite"], ["--suite"]):
        done = subprocess.run(
            [ROOT / "tools/test", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        report.expect(
            done.returncode == 1 and done.stderr,
            f"tools/test {arguments}: exit code {done.returncode}\n{done.stderr}",
        )


sys.exit(
    report.run(
        [
            ("house.top_level", top_level),
            ("house.line_lengths", line_lengths),
            ("house.bash_syntax", bash_syntax),
            ("house.python_syntax", python_syntax),
            ("house.help_texts", help_texts),
            ("house.wrong_usage_is_refused", wrong_usage),
        ]
    )
)
