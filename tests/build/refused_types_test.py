#!/usr/bin/env python3
"""What means nothing to another process does not compile as an object of a segment, and the error
says why.

Usage: refused_types_test.py ROOT BUILD"""

import shutil
import subprocess
import sys
from pathlib import Path

import report

ROOT, BUILD = Path(sys.argv[1]), Path(sys.argv[2])
COMPILERS = ["g++", "clang++"]
FLAGS = ["-std=c++20", "-fsyntax-only", f"-I{ROOT}/include", f"-I{BUILD}/include", "-x", "c++", "-"]
SOURCE = """
#include <string>
#include <string_view>
#include <vector>
#include <outlive/outlive.hpp>
struct order { std::vector<long> lines; };
struct mailbox { outlive::robust_mutex mutex{"mailbox"}; long letters = 0; };
template <> inline constexpr bool outlive::shareable<mailbox> = true;
void use(outlive::segment& seg) { %s; }
"""
REFUSED = {
    "guarded_string": 'seg.find_or_construct<outlive::guarded<std::string>>("s", "class")',
    "guarded_string_without_a_segment": "static_cast<void>(sizeof(outlive::guarded<std::string>))",
    "guarded_struct_with_a_vector": 'seg.find_or_construct<outlive::guarded<order>>("o", "class")',
    "pointer": 'seg.find_or_construct<int*>("p")',
    "array_of_strings": 'seg.find_or_construct<std::array<std::string, 2>>("a")',
    "queue_of_views": 'seg.find_or_construct<outlive::work_queue<std::string_view, 4>>("q")',
}
ACCEPTED = {
    "guarded_long": 'seg.find_or_construct<outlive::guarded<long>>("n", "class")',
    "struct_that_was_declared": 'seg.find_or_construct<mailbox>("m")',
}


def compiled(compiler, statement):
    if not shutil.which(compiler):
        raise report.skip(f"{compiler} is not installed")
    return subprocess.run(
        [compiler, *FLAGS],
        input=SOURCE % statement,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )


def refuses(compiler, statement):
    def case():
        done = compiled(compiler, statement)
        report.expect(done.returncode != 0, f"{compiler} takes {statement}")
        report.expect(
            "outlive/shared_type.hpp" in done.stdout,
            f"{compiler} does not say why it refuses {statement}\n{done.stdout}",
        )

    return case


def accepts(compiler, statement):
    def case():
        done = compiled(compiler, statement)
        report.expect(done.returncode == 0, f"{compiler} refuses {statement}\n{done.stdout}")

    return case


cases = [
    (f"refused_types.{name}_{compiler}", refuses(compiler, statement))
    for name, statement in REFUSED.items()
    for compiler in COMPILERS
]
cases += [
    (f"refused_types.not_a_{name}_{compiler}", accepts(compiler, statement))
    for name, statement in ACCEPTED.items()
    for compiler in COMPILERS
]
sys.exit(report.run(cases))
