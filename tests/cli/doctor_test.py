#!/usr/bin/env python3
"""outlive doctor looks at everything, tries a death for real, and fails where nothing works.

Usage: doctor_test.py OUTLIVE ..."""

import sys

import report
from shelves import USAGE_ERROR, rows, tool

CHECKS = [
    "kernel",
    "C library",
    "robust list",
    "killed holder",
    "/dev/shm",
    "ptrace scope",
    "core dumps",
    "hidepid",
    "PID namespace",
    "cgroup freezer",
    "RemoveIPC",
]


def every_check_has_a_verdict_and_a_meaning():
    found = rows(tool("doctor", "--json")[0])
    report.expect([each["check"] for each in found] == CHECKS, str(found))
    for each in found:
        report.expect(
            each["verdict"] in ("ok", "warn", "fail") and each["found"] and each["meaning"],
            str(each),
        )


def a_killed_holder_is_recovered_here():
    [line] = [
        each for each in rows(tool("doctor", "--json")[0]) if each["check"] == "killed holder"
    ]
    report.expect(line["verdict"] == "ok", str(line))


def people_get_a_table():
    text, _ = tool("doctor")
    report.expect(text.startswith("CHECK") and all(check in text for check in CHECKS), text)
    tool("doctor", "too much", code=USAGE_ERROR)


sys.exit(
    report.run(
        [
            (
                "doctor.every_check_has_a_verdict_and_a_meaning",
                every_check_has_a_verdict_and_a_meaning,
            ),
            ("doctor.a_killed_holder_is_recovered_here", a_killed_holder_is_recovered_here),
            ("doctor.people_get_a_table", people_get_a_table),
        ]
    )
)
