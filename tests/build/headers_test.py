#!/usr/bin/env python3
"""Each public header compiles alone and twice, with every compiler that is here. Usage: headers_test.py ROOT BUILD"""

import shutil
import subprocess
import sys
from pathlib import Path

import report

ROOT, BUILD = Path(sys.argv[1]), Path(sys.argv[2])
COMPILERS = ["g++", "clang++"]
# What a strict user compiles with: our headers must not be where his build stops.
FLAGS = ["-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wsign-conversion", "-Wold-style-cast", "-Werror",
         "-fsyntax-only", f"-I{ROOT}/include", f"-I{BUILD}/include", "-x", "c++", "-"]


def compiles(compiler, header):
    def case():
        if not shutil.which(compiler):
            raise report.skip(f"{compiler} is not installed")
        source = f"#include <outlive/{header}>\n#include <outlive/{header}>\nint main() {{}}\n"
        done = subprocess.run([compiler, *FLAGS], input=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
        report.expect(done.returncode == 0, f"{compiler} refuses <outlive/{header}>\n{done.stdout}")
    return case


def listed():
    """A header that include/meson.build does not name would be neither installed nor here."""
    text = (ROOT / "include/meson.build").read_text()
    for path in (ROOT / "include").rglob("*.hpp"):
        name = path.relative_to(ROOT / "include")
        report.expect(f"'{name}'" in text, f"include/meson.build does not list {name}")


headers = sorted(str(path.relative_to(ROOT / "include/outlive")).removesuffix(".in") for path in (ROOT / "include/outlive").rglob("*")
                 if path.suffix in (".hpp", ".in"))
cases = [("headers.listed", listed)]
cases += [(f"headers.{header.removesuffix('.hpp').replace('/', '_')}_alone_{compiler}", compiles(compiler, header))
          for header in headers for compiler in COMPILERS]
sys.exit(report.run(cases))
