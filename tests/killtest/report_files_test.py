#!/usr/bin/env python3
"""JUnit's XML and lcov's tracefile are what their readers take.

Usage: report_files_test.py FOLDER-OF-report.py PROGRAM"""

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree

from kit_program import LIMIT, WRONG, explored, folder, run

import report


def junit_has_a_case_for_each_scenario():
    explored()
    root = xml.etree.ElementTree.parse(folder() / "junit.xml").getroot()
    counts = {name: root.get(name) for name in ("tests", "failures", "errors")}
    report.expect(counts == {"tests": "3", "failures": "1", "errors": "1"}, f"found {counts}")
    cases = {case.get("name"): case for case in root.iter("testcase")}
    report.expect(set(cases) == {"right", WRONG, "nothing"}, f"found {sorted(cases)}")
    report.expect(
        cases["right"].find("failure") is None and cases["right"].find("error") is None,
        "the right one failed",
    )
    path, line = cases[WRONG].get("file", ""), int(cases[WRONG].get("line", "0"))
    report.expect(
        path.endswith("killtest/bank.hpp") and "of.undo.valid = 0;" in source(path)[line - 1],
        f"found the place {path}:{line}",
    )
    report.expect(cases["right"].get("file") is None, "a place without a failure")
    failure = cases[WRONG].find("failure")
    report.expect(
        failure is not None
        and failure.get("type") == "invariant violated"
        and "not 1000" in failure.get("message"),
        "no failure with its words",
    )
    report.expect(
        "<-" in failure.text and "transfer()" in failure.text, f"no stack in\n{failure.text}"
    )
    report.expect(
        "nothing to kill" in cases["nothing"].find("error").get("message"),
        "no error for the scenario without stores",
    )


def sarif_has_a_result_for_each_cause():
    explored()
    log = json.loads((folder() / "kill.sarif").read_text())
    report.expect(log["version"] == "2.1.0" and len(log["runs"]) == 1, f"found {log}")
    run_of = log["runs"][0]
    rules = {rule["id"] for rule in run_of["tool"]["driver"]["rules"]}
    found = {result["ruleId"]: result for result in run_of["results"]}
    report.expect(
        rules == set(found) == {"invariant violated", "not explored"}
        and len(run_of["results"]) == 2,
        f"found {run_of}",
    )
    violated = found["invariant violated"]
    place = violated["locations"][0]["physicalLocation"]
    path = place["artifactLocation"]["uri"].removeprefix("file://")
    line = source(path)[place["region"]["startLine"] - 1]
    report.expect("of.undo.valid = 0;" in line, f"the place is {line!r}")
    report.expect(
        WRONG in violated["message"]["text"] and "crash state" in violated["message"]["text"],
        f"found {violated['message']}",
    )
    report.expect("locations" not in found["not explored"], "a place where nobody was killed")


def tracefile():
    """{file: {line: count}}"""
    explored()
    files, lines = {}, None
    for text in (folder() / "kill.info").read_text().splitlines():
        if text.startswith("SF:"):
            lines = files.setdefault(text[3:], {})
        elif found := re.fullmatch(r"DA:(\d+),(\d+)", text):
            lines[int(found[1])] = int(found[2])
    return files


def source(path):
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()


def lcov_counts_the_deaths_at_each_line():
    files = tracefile()
    bank = next((path for path in files if path.endswith("killtest/bank.hpp")), None)
    report.expect(bank is not None, f"bank.hpp is not in {sorted(files)}")
    text = source(bank)
    counts = {text[number - 1].strip(): count for number, count in files[bank].items()}
    for line in ("of.undo.valid = 1;", "of.a -= amount;", "of.b += amount;"):
        report.expect(counts.get(line, 0) > 0, f"no death was counted at {line!r}")
    report.expect(
        counts.get("if (of.undo.valid == 0) return repaired;") == 0,
        "a line without a store is reported as a kill point, or not at all",
    )


def genhtml_renders_the_tracefile():
    if not shutil.which("genhtml"):
        raise report.skip("genhtml is not installed")
    explored()
    page = folder() / "lcov"
    done = subprocess.run(
        ["genhtml", "--output-directory", page, folder() / "kill.info"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
    )
    report.expect(
        done.returncode == 0 and "warning" not in done.stdout.lower(),
        f"genhtml: exit code {done.returncode}\n{done.stdout}",
    )
    pages = [path for path in page.rglob("bank.hpp.gcov.html")]
    report.expect(
        len(pages) == 1 and "transfer" in pages[0].read_text(),
        f"no page of bank.hpp\n{done.stdout}",
    )


def a_file_that_cannot_be_written_is_an_error():
    for option in ("--junit", "--lcov", "--html", "--sarif"):
        path = folder() / "no such folder" / "file"
        done = run("right", option, path)
        report.expect(done.returncode == 2, f"{option}: exit code {done.returncode}, expected 2")
        report.expect(
            str(path) in done.stderr and "No such file or directory" in done.stderr,
            f"{option}: found the error {done.stderr!r}",
        )
    full = run("right", "--html", "/dev/full")
    report.expect(
        full.returncode == 2 and "No space left on device" in full.stderr,
        f"/dev/full: exit code {full.returncode}, {full.stderr!r}",
    )


sys.exit(
    report.run(
        [
            ("report_files.junit_has_a_case_for_each_scenario", junit_has_a_case_for_each_scenario),
            ("report_files.sarif_has_a_result_for_each_cause", sarif_has_a_result_for_each_cause),
            (
                "report_files.lcov_counts_the_deaths_at_each_line",
                lcov_counts_the_deaths_at_each_line,
            ),
            ("report_files.genhtml_renders_the_tracefile", genhtml_renders_the_tracefile),
            (
                "report_files.a_file_that_cannot_be_written_is_an_error",
                a_file_that_cannot_be_written_is_an_error,
            ),
        ]
    )
)
