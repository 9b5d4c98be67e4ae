#!/usr/bin/env python3
"""docs/examples/outlive-supervise.service is a unit as systemd wants it, and the tool takes its
command line.

Usage: service_unit_test.py OUTLIVE ..."""

import configparser
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

import report
from shelves import PLUGIN, SECONDS, TOOL, segment_name, tool, worker

UNIT = pathlib.Path(__file__).resolve().parents[2] / "docs/examples/outlive-supervise.service"


def unit():
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_string(UNIT.read_text())
    return parser


def notifies_and_is_started_again():
    service = unit()["Service"]
    report.expect(
        service["Type"] == "notify"
        and service["Restart"] == "on-failure"
        and int(service["WatchdogSec"]) > 0,
        str(dict(service)),
    )
    # Five starts in ten seconds are all that systemd would try: a segment that is made later would
    # never be watched.
    report.expect(unit()["Unit"]["StartLimitIntervalSec"] == "0", str(dict(unit()["Unit"])))


def command_line_is_one_of_the_tools():
    program, *arguments = shlex.split(unit()["Service"]["ExecStart"])
    report.expect(program == "/usr/bin/outlive" and arguments[0] == "supervise", program)
    with segment_name() as name, worker("free", name, "free"):
        arguments[1] = name
        at = arguments.index("--repairs") + 1
        library, arguments[at] = arguments[at], "/no/such/library.so"
        report.expect(library.startswith("/"), library)
        _, error = tool(*arguments, code=3)  # 2 would be: not understood
        report.expect(
            "/no/such/library.so: cannot load the library with the repairs" in error, error
        )


def systemd_verifies_it():
    if not shutil.which("systemd-analyze"):
        raise report.skip("systemd-analyze (package systemd) is not installed")
    with tempfile.TemporaryDirectory() as folder:

        def verify(text):
            copy = pathlib.Path(folder, UNIT.name)
            copy.write_text(
                text.replace("/usr/bin/outlive", TOOL).replace(
                    "/usr/lib/accounts/repairs.so", PLUGIN
                )
            )
            done = subprocess.run(
                ["systemd-analyze", "verify", "--man=no", copy],
                capture_output=True,
                text=True,
                timeout=SECONDS,
            )
            return done.returncode, [line for line in done.stderr.splitlines() if UNIT.name in line]

        code, said = verify(UNIT.read_text())
        report.expect(code == 0 and not said, f"exit code {code}\n" + "\n".join(said))
        for right, wrong in [
            ("WatchdogSec=", "WatchdogSeconds="),
            ("Type=notify", "Type=notified"),
        ]:
            code, said = verify(UNIT.read_text().replace(right, wrong))
            report.expect(said, f"{wrong} is not noticed, so that nothing else may be either")


sys.exit(
    report.run(
        [
            (f"service_unit.{case.__name__}", case)
            for case in [
                notifies_and_is_started_again,
                command_line_is_one_of_the_tools,
                systemd_verifies_it,
            ]
        ]
    )
)
