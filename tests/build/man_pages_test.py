#!/usr/bin/env python3
"""The man pages are made without a complaint, have their sections in order, declare what the
headers do, and leave no public header out.

Usage: man_pages_test.py ROOT

What scdoc itself writes needlessly (empty paragraphs) is no fault of ours.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import report

ROOT = Path(sys.argv[1])
PAGES = sorted((ROOT / "docs/man").glob("*.scd"))
SECTIONS = [
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "OPTIONS",
    "OUTPUT",
    "RETURN VALUE",
    "EXIT STATUS",
    "ERRORS",
    "NOTES",
    "EXAMPLES",
    "SEE ALSO",
]
NEEDED = {"NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "SEE ALSO"}
NEEDED_OF = {
    "1": {"OPTIONS", "OUTPUT", "EXIT STATUS", "NOTES"},
    "3": {"RETURN VALUE", "ERRORS", "NOTES"},
    "7": {"NOTES"},
}
HARMLESS = "skipping paragraph macro"
WIDTH = (
    78  # of an example's line: what a terminal of 80 columns shows beside the margin, cut nowhere
)


def need(*tools):
    for tool in tools:
        if not shutil.which(tool):
            raise report.skip(f"{tool} is not installed")


def roff(page):
    done = subprocess.run(["scdoc"], stdin=page.open(), capture_output=True, text=True, timeout=60)
    report.expect(done.returncode == 0, f"{page.name}: {done.stderr}")
    return done.stdout


def complaints(tool, *options):
    need("scdoc", tool)
    found = []
    for page in PAGES:
        done = subprocess.run(
            [tool, *options], input=roff(page), capture_output=True, text=True, timeout=60
        )
        found += [
            f"{page.name}: {line}"
            for line in (done.stdout + done.stderr).splitlines()
            if HARMLESS not in line
        ]
    report.expect(PAGES and not found, "\n".join(found) or "no page found")


def mandoc_has_no_complaint():
    complaints("mandoc", "-T", "lint", "-W", "warning")


def groff_has_no_complaint():
    complaints("groff", "-t", "-man", "-ww", "-z")


def sections_stand_in_order():
    for page in PAGES:
        found = re.findall(r"^# (.*)$", page.read_text(), re.MULTILINE)
        report.expect(
            found == [each for each in SECTIONS if each in found],
            f"{page.name}: sections {found}, expected the order {SECTIONS}",
        )
        needed = NEEDED | NEEDED_OF[page.name.split(".")[1]]
        report.expect(needed <= set(found), f"{page.name}: no {sorted(needed - set(found))}")


def titles_are_file_names():
    for page in PAGES:
        name, section, _ = page.name.split(".")
        title = page.read_text().split(None, 1)[0]
        report.expect(title == f"{name}({section})", f"{page.name} is titled {title}")


def lines_fit():
    long = [
        f"{page.name}:{number}"
        for page in PAGES
        for _, block in literal_blocks(page)
        for number, line in block
        if len(line) > WIDTH
    ]
    report.expect(not long, f"literal lines of more than {WIDTH} columns: {', '.join(long)}")


def literal_blocks(page):
    block, start = None, 0
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            if block is not None:
                yield start, block
            block, start = ([], number) if block is None else (None, 0)
        elif block is not None:
            block.append((number, line))


def every_header_is_in_a_synopsis():
    synopses = "".join(
        re.search(r"^# SYNOPSIS\n(.*?)^# ", page.read_text(), re.DOTALL | re.MULTILINE)[1]
        for page in PAGES
    )
    headers = {header.name for header in (ROOT / "include/outlive").glob("*.hpp")} - {"error.hpp"}
    missing = sorted(header for header in headers if f"<outlive/{header}>" not in synopses)
    report.expect(headers and not missing, f"no page includes {missing}")


def without_comments(text):
    """C++ without comments, attributes, macros and spaces: what a declaration is compared by."""
    left_out = r"//[^\n]*|/\*.*?\*/|\[\[.*?\]\]|^#[^\n]*|\bOUTLIVE_API\b"
    text = re.sub(left_out, "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\s+", "", text)


def declarations_are_those_of_the_headers():
    headers = [*(ROOT / "include/outlive").rglob("*.hpp")]
    declared = without_comments("".join(header.read_text() for header in headers))
    wrong = []
    for page in PAGES:
        if not page.name.endswith(".3.scd"):
            continue
        text = page.read_text()
        shown = re.search(r"^# SYNOPSIS\n(.*?)^# ", text, re.DOTALL | re.MULTILINE)[1]
        structures = r"^## Structures of .*?\n(.*?)(?=^#+ )"
        shown += "".join(re.findall(structures, text, re.DOTALL | re.MULTILINE))
        for block in re.findall(r"^```\n(.*?)^```", shown, re.DOTALL | re.MULTILINE):
            block = re.sub(r"^(EXPECT|ASSERT)_.*", "", block, flags=re.MULTILINE)  # macros
            for part in re.split(r"[;{}]", without_comments(block)):
                if part.removeprefix("public:") not in declared:
                    wrong.append(f"{page.name}: {part}")
    report.expect(headers and not wrong, "no header declares this:\n" + "\n".join(wrong))


def references_exist():
    names = {page.name[:-4].replace(".", "(") + ")" for page in PAGES}
    for page in PAGES:
        named = set(re.findall(r"\*(outlive[\w-]*)\*(\(\d\))", page.read_text()))
        wrong = sorted(name + section for name, section in named if name + section not in names)
        report.expect(not wrong, f"{page.name} refers to {wrong}")


sys.exit(
    report.run(
        [
            ("man.mandoc_has_no_complaint", mandoc_has_no_complaint),
            ("man.groff_has_no_complaint", groff_has_no_complaint),
            ("man.sections_stand_in_order", sections_stand_in_order),
            ("man.titles_are_file_names", titles_are_file_names),
            ("man.lines_fit", lines_fit),
            ("man.every_header_is_in_a_synopsis", every_header_is_in_a_synopsis),
            ("man.declarations_are_those_of_the_headers", declarations_are_those_of_the_headers),
            ("man.references_exist", references_exist),
        ]
    )
)
