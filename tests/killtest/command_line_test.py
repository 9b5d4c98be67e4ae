#!/usr/bin/env python3
"""The command line of a program of scenarios.

Usage: command_line_test.py FOLDER-OF-report.py PROGRAM"""

import json
import os
import pty
import re
import resource
import subprocess
import sys

from kit_program import LIMIT, PROGRAM, WRONG, explored, folder, run

import report


def expect_exit(done, code):
    report.expect(
        done.returncode == code,
        f"{done.args[1:]}: exit code {done.returncode}, expected {code}\n"
        f"{done.stdout}{done.stderr}",
    )


def exit_codes():
    expect_exit(run("right"), 0)
    expect_exit(run(WRONG), 1)
    expect_exit(run("nothing"), 2)
    expect_exit(run("right", "nothing"), 2)
    expect_exit(explored(), 1)  # a failure counts for more than what could not be run


def wrong_usage_is_told():
    for arguments, message in (
        (["no such scenario"], '"no such scenario", expected one of: right'),
        (["--engine", "steam"], "steam"),
        (["--depth", "-1"], "-1"),
        (["--no-such-option"], "--no-such-option"),
        (["--replay", "no/such/file"], "3 scenarios"),
        (
            ["right", "--replay", "no/such/file"],
            "no/such/file: the image could not be read: No such file",
        ),
        (["right", "--replay", PROGRAM], "found no segment of outlive"),
    ):
        done = run(*arguments)
        expect_exit(done, 2)
        report.expect(
            message in done.stderr and not done.stdout,
            f"{arguments}: found the error {done.stderr!r}, expected {message!r} in it",
        )


def what_cannot_be_written_is_told():
    def limit_files(size):
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    for path, limit, words in (
        (folder() / "list", limit_files(0), "File too large"),
        ("/dev/full", None, "No space left on device"),
    ):
        with open(path, "w", encoding="utf-8") as stdout:
            done = subprocess.run(
                [PROGRAM, "--list"],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
                timeout=LIMIT,
                preexec_fn=limit,
            )
        report.expect(
            done.returncode == 2 and f"stdout: {words}" in done.stderr,
            f"{path}: exit code {done.returncode}, {done.stderr!r}",
        )
    explored()
    page = (folder() / "kill.html").stat().st_size
    for size in (0, page * 3 // 4):  # less than the segment, and less than the page
        done = run("--html", folder() / "limited.html", preexec_fn=limit_files(size))
        expect_exit(done, 2)
        report.expect(
            "File too large" in done.stdout + done.stderr,
            f"{size}: found {done.stdout!r} and {done.stderr!r}",
        )


def parts_of_a_coverage_are_put_together():
    parts = folder() / "coverage"
    nothing = run("--merge-coverage", folder() / "none")
    expect_exit(nothing, 2)
    report.expect(str(folder() / "none") in nothing.stderr, f"found {nothing.stderr!r}")
    expect_exit(run("right", "--coverage", parts), 0)
    expect_exit(run(WRONG, env={**os.environ, "OUTLIVE_KILLTEST_COVERAGE": str(parts)}), 1)
    done = run("--merge-coverage", parts, "--lcov", folder() / "merged.info")
    expect_exit(done, 0)
    report.expect(done.stdout.startswith("2 scenarios: of "), f"found {done.stdout!r}")
    merged = json.loads(run("--merge-coverage", parts, "--json").stdout)
    report.expect(sorted(merged["scenarios"]) == ["right", WRONG], f"found {merged['scenarios']}")
    report.expect(
        any(
            each["function"].endswith("transfer") and not each["hole"] for each in merged["lines"]
        ),
        f"nobody came to transfer(): {merged['lines']}",
    )
    tracefile = (folder() / "merged.info").read_text()
    report.expect("killtest/bank.hpp\n" in tracefile, f"found {tracefile!r}")


def scenarios_are_listed():
    done = run("--list")
    expect_exit(done, 0)
    report.expect(done.stdout.splitlines() == ["right", WRONG, "nothing"], f"found {done.stdout!r}")


def json_is_all_there_is_on_stdout():
    done = run("--json")
    expect_exit(done, 1)
    found = {each["scenario"]: each for each in json.loads(done.stdout)}
    report.expect(
        found["right"]["ok"] and found["right"]["states"] > 20 and not found["right"]["failures"],
        "the right one is not ok",
    )
    failures = found[WRONG]["failures"]
    report.expect(
        len(failures) == found[WRONG]["failed"] > 0 and "not 1000" in failures[0]["what"],
        f"found {failures}",
    )
    report.expect(
        any(frame["function"].endswith("transfer") for frame in failures[0]["deaths"][0]["stack"]),
        "no stack",
    )
    report.expect("nothing to kill" in found["nothing"]["fault"], "no fault")


def what_the_summary_says_can_be_typed():
    commands = re.findall(r"^ *reproduce: (.*)$", explored().stdout, re.MULTILINE)
    # One cause: states that differ in numbers only are of one kind.
    report.expect(len(commands) == 1, f"found {commands}")
    violations = re.findall(r"^ *invariant violated: (.*)$", explored().stdout, re.MULTILINE)
    for command, words in zip(commands, violations):
        done = subprocess.run(
            command,
            shell=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        expect_exit(done, 1)
        report.expect(
            f"invariant violated: {words} (" in done.stdout,
            f"replayed: {done.stdout!r}, expected {words!r}",
        )
    hint = re.search(r"^ *for an image of it: (.*)$", run(WRONG).stdout, re.MULTILINE)
    report.expect(hint is not None, "no word about images")
    again = subprocess.run(
        hint[1],
        shell=True,
        cwd=folder(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    expect_exit(again, 1)
    report.expect(list(folder().glob("crash-*.seg")), "no image was written")


def one_state_is_explored_alone():
    whole = json.loads(run(WRONG, "--json").stdout)[0]
    for failure in whole["failures"]:
        done = run(WRONG, "--json", "--state", failure["hash"])
        expect_exit(done, 1)
        alone = json.loads(done.stdout)[0]
        report.expect(
            alone["states"] == 1 and alone["nested_points"] < whole["nested_points"],
            f"found {alone['states']} states, {alone['nested_points']} deaths of heirs",
        )
        report.expect(
            [(each["hash"], each["what"]) for each in alone["failures"]]
            == [(failure["hash"], failure["what"])],
            f"found {alone['failures']}, expected {failure}",
        )
    command = re.search(r"^ *this state alone: (.*)$", run(WRONG).stdout, re.MULTILINE)
    done = subprocess.run(
        command[1], shell=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT
    )
    expect_exit(done, 1)
    for arguments, message in (
        ([WRONG, "--state", "1"], "found no state 0000000000000001"),
        ([WRONG, "--state", "xyz"], "found xyz, expected a hash"),
        (["--state", "1"], "found 3 scenarios, expected the one"),
    ):
        done = run(*arguments)
        expect_exit(done, 2)
        report.expect(
            message in done.stdout + done.stderr, f"{arguments}: {done.stdout}{done.stderr}"
        )


def annotations_name_file_and_line():
    os.environ.pop("GITHUB_ACTIONS", None)
    report.expect("::error" not in explored().stdout, "annotations that nobody asked for")
    done = run(WRONG, "--annotations")
    found = re.findall(r"^::error file=(.*),line=(\d+),title=kill test::(.*)$", done.stdout, re.M)
    report.expect(len(found) == 1, f"found {found} in\n{done.stdout}")
    path, line, text = found[0]
    with open(path, encoding="utf-8") as file:
        source = file.read().splitlines()[int(line) - 1]
    report.expect("of.undo.valid = 0;" in source, f"{path}:{line} is {source!r}")
    report.expect(text.startswith(f"{WRONG}: invariant violated: a + b is "), f"found {text!r}")
    in_actions = run("nothing", env={**os.environ, "GITHUB_ACTIONS": "true"})
    report.expect(
        "::error title=kill test::nothing: the victim stored nothing" in in_actions.stdout,
        f"found {in_actions.stdout}",
    )


def an_image_does_what_its_state_did():
    done = run(WRONG, "--json", "--images", folder() / "all")
    failures = json.loads(done.stdout)[0]["failures"]
    for each in failures:
        replayed = run(WRONG, "--replay", each["image"])
        expect_exit(replayed, 1)
        report.expect(
            replayed.stdout.startswith(f"{each['verdict']}: {each['what']} ("),
            f"replayed: {replayed.stdout!r}, expected {each}",
        )
        # The same crash state under a repair that is right.
        mended = run("right", "--replay", each["image"])
        report.expect(
            mended.returncode in (0, 1) and mended.stdout, f"{mended.stdout}{mended.stderr}"
        )
    report.expect(failures, "nothing failed")


def on_a_terminal(**environment):
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [PROGRAM, "right"],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, **environment},
    ) as program:
        os.close(theirs)
        text = b""
        try:
            while piece := os.read(ours, 4096):
                text += piece
        except OSError:  # how a terminal says that nobody writes to it any more
            pass
        program.wait(timeout=LIMIT)
    os.close(ours)
    return text.decode()


def colour_is_for_terminals():
    os.environ.pop("NO_COLOR", None)
    report.expect("\x1b" not in explored().stdout, "colour in a pipe")
    report.expect("\x1b[1;32mok\x1b[0m right:" in on_a_terminal(), "no colour on a terminal")
    report.expect("\x1b[1;" not in on_a_terminal(NO_COLOR="1"), "colour where NO_COLOR is set")


sys.exit(
    report.run(
        [
            ("command_line.exit_codes", exit_codes),
            ("command_line.wrong_usage_is_told", wrong_usage_is_told),
            ("command_line.what_cannot_be_written_is_told", what_cannot_be_written_is_told),
            (
                "command_line.parts_of_a_coverage_are_put_together",
                parts_of_a_coverage_are_put_together,
            ),
            ("command_line.scenarios_are_listed", scenarios_are_listed),
            ("command_line.json_is_all_there_is_on_stdout", json_is_all_there_is_on_stdout),
            ("command_line.what_the_summary_says_can_be_typed", what_the_summary_says_can_be_typed),
            ("command_line.one_state_is_explored_alone", one_state_is_explored_alone),
            ("command_line.annotations_name_file_and_line", annotations_name_file_and_line),
            ("command_line.an_image_does_what_its_state_did", an_image_does_what_its_state_did),
            ("command_line.colour_is_for_terminals", colour_is_for_terminals),
        ]
    )
)
