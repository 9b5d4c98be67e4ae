#!/usr/bin/env python3
"""Compare the USDT probes in the library's ELF notes with those that outlive_event(3) lists: their
names, and how many arguments each has.
"""

import pathlib
import re
import subprocess
import sys

import report

root, library = pathlib.Path(sys.argv[1]), sys.argv[2]


def probes_of_library():
    done = subprocess.run(
        ["readelf", "--notes", "--wide", library],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = {}
    for provider, name, arguments in re.findall(
        r"Provider: (\S+)\n\s+Name: (\S+)\n.*\n\s+Arguments: (.*)", done.stdout
    ):
        # An argument is SIZE@OPERAND, and an operand may contain blanks.
        found.setdefault((provider, name), set()).add(len(re.findall(r"-?\d+@", arguments)))
    return found


def listed_probes():
    text = (root / "docs/man/outlive_event.3.scd").read_text()
    part = text.split("## Probes\n")[1].split("\n# ")[0]
    return {
        ("outlive", name): {len(re.findall(r"_\w+_", arguments))}
        for name, arguments in re.findall(r"^\*(\w+)\* (.*)$", part, re.MULTILINE)
    }


def the_library_has_those_that_are_listed():
    found, listed = probes_of_library(), listed_probes()
    report.expect(len(listed) >= 4, f"the page lists {listed}")
    if not found and len(sys.argv) > 3 and sys.argv[3] == "without":
        raise report.skip("built without <sys/sdt.h> (package systemtap-sdt-dev)")
    report.expect(found == listed, f"the library has {found},\nthe page lists {listed}")


sys.exit(report.run([("probes.listed", the_library_has_those_that_are_listed)]))
