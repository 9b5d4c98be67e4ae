#!/usr/bin/env python3
"""Each public header compiles alone and twice, with every compiler that is here.

Usage: headers_test.py ROOT BUILD"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import report

ROOT, BUILD = Path(sys.argv[1]), Path(sys.argv[2])
COMPILERS = ["g++", "clang++"]
# What a strict user compiles with: our headers must not be where his build stops.
FLAGS = [
    "-std=c++20",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wshadow",
    "-Wconversion",
    "-Wsign-conversion",
    "-Wold-style-cast",
    "-Werror",
    "-fsyntax-only",
    f"-I{ROOT}/include",
    f"-I{BUILD}/include",
    "-x",
    "c++",
    "-",
]


def compiles(compiler, header):
    def case():
        if not shutil.which(compiler):
            raise report.skip(f"{compiler} is not installed")
        source = f"#include <outlive/{header}>\n#include <outlive/{header}>\nint main() {{}}\n"
        done = subprocess.run(
            [compiler, *FLAGS],
            input=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        report.expect(done.returncode == 0, f"{compiler} refuses <outlive/{header}>\n{done.stdout}")

    return case


# How a program cannot be compiled, and what the one error must say. libc++ and libunwind-dev cannot
# both be installed on Debian: a standard library that is not libstdc++ is one whose <version> says
# nothing.
REFUSED = {
    "cpp17": (["-std=c++17"], "outlive needs C++20"),
    "no_rtti": (["-fno-rtti"], "outlive needs run-time type information"),
    "other_standard_library": (["-nostdinc++", "-isystem", "{folder}"], "outlive needs libstdc++"),
}


def refused(compiler, how):
    def case():
        if not shutil.which(compiler):
            raise report.skip(f"{compiler} is not installed")
        with tempfile.TemporaryDirectory(prefix="outlive-headers-") as folder:
            (Path(folder) / "version").touch()
            options, wanted = REFUSED[how]
            for header in headers:
                source = f"#include <outlive/{header}>\nint main() {{ return outlive::nothing; }}\n"
                done = subprocess.run(
                    [
                        compiler,
                        *FLAGS[:-3],
                        *(option.format(folder=folder) for option in options),
                        *FLAGS[-3:],
                    ],
                    input=source,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=120,
                )
                errors = [
                    line for line in done.stdout.splitlines() if re.search(r"\berror: ", line)
                ]
                # The second one is how the compiler is stopped.
                report.expect(
                    len(errors) == 2 and wanted in errors[0] and "see_the_error_above" in errors[1],
                    f"{compiler} {' '.join(options)}: <outlive/{header}> gives "
                    f'{len(errors)} errors, expected "{wanted}" alone\n{done.stdout}',
                )

    return case


def accepted(compiler, option):
    def case():
        if not shutil.which(compiler):
            raise report.skip(f"{compiler} is not installed")
        source = (
            "".join(
                f"#include <outlive/{header}>\n"
                for header in headers
                if header != "killtest/gtest.hpp"
            )
            + "int main() {}\n"
        )
        done = subprocess.run(
            [compiler, *FLAGS[:-3], option, *FLAGS[-3:]],
            input=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        report.expect(
            done.returncode == 0, f"{compiler} {option} refuses the headers\n{done.stdout}"
        )

    return case


def listed():
    """A header that include/meson.build does not name would be neither installed nor here."""
    text = (ROOT / "include/meson.build").read_text()
    for path in (ROOT / "include").rglob("*.hpp"):
        name = path.relative_to(ROOT / "include")
        report.expect(f"'{name}'" in text, f"include/meson.build does not list {name}")


headers = sorted(
    str(path.relative_to(ROOT / "include/outlive")).removesuffix(".in")
    for path in (ROOT / "include/outlive").rglob("*")
    if path.suffix in (".hpp", ".in") and path.name != "export.hpp"
)  # it needs nothing, and the check needs it
cases = [("headers.listed", listed)]
cases += [
    (
        f"headers.{header.removesuffix('.hpp').replace('/', '_')}_alone_{compiler}",
        compiles(compiler, header),
    )
    for header in headers
    for compiler in COMPILERS
]
cases += [
    (f"headers.{how}_is_one_error_{compiler}", refused(compiler, how))
    for how in REFUSED
    for compiler in COMPILERS
]
cases += [
    (f"headers.{option.strip('-')}_is_accepted_{compiler}", accepted(compiler, option))
    for option in ("-fno-exceptions", "-D_GLIBCXX_DEBUG")
    for compiler in COMPILERS
]
sys.exit(report.run(cases))
