#!/usr/bin/env python3
"""tools/demo and tools/test configure what they need, whatever was configured before.

Usage: commands_test.py ROOT"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import report

ROOT = Path(sys.argv[1])
PROJECT = """project('made_up', 'cpp')
cpp = meson.get_compiler('cpp')
message('header found: @0@'.format(cpp.has_header('made_up.h')))
library('made_up', 'made_up.cpp')
"""


def run(command, **more):
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        **more,
    )


def configure(root, packages, *options):
    """What tools/dev/setup.sh's configure prints in a small project, with these packages installed.
    """
    script = (
        'packages=$1; shift; . tools/dev/setup.sh; package_state() { echo "$packages"; }; '
        'configure release g++ "$@"'
    )
    done = run(
        ["bash", "-euo", "pipefail", "-c", script, "bash", packages, *options],
        cwd=root,
        env={**os.environ, "CPATH": str(root / "headers")},
    )
    report.expect(done.returncode == 0, done.stdout)
    return done.stdout


def small_project(folder):
    root = Path(folder)
    (root / "tools/dev").mkdir(parents=True)
    (root / "headers").mkdir()
    shutil.copy(ROOT / "tools/dev/setup.sh", root / "tools/dev")
    (root / "meson.build").write_text(PROJECT)
    (root / "made_up.cpp").write_text("int made_up() { return 1; }\n")
    return root


def package_that_came_later_is_found():
    with tempfile.TemporaryDirectory() as folder:
        root = small_project(folder)
        report.expect(
            "header found: false" in configure(root, "none"),
            "the header is there before it is made",
        )
        (root / "headers/made_up.h").touch()
        text = configure(root, "made-up-dev=1")
        report.expect(
            "header found: true" in text,
            f"what meson did not find once it does not look for again:\n{text}",
        )


def other_options_keep_what_is_compiled():
    with tempfile.TemporaryDirectory() as folder:
        root = small_project(folder)
        configure(root, "none")
        done = run(["ninja", "-C", root / "build/release"])
        report.expect(done.returncode == 0, done.stdout)
        configure(root, "made-up-dev=1", "-Dprefix=/usr")
        done = run(["ninja", "-C", root / "build/release"])
        report.expect(done.returncode == 0 and "Compiling" not in done.stdout, done.stdout)


def same_again_configures_nothing():
    with tempfile.TemporaryDirectory() as folder:
        root = small_project(folder)
        configure(root, "none")
        text = configure(root, "none")
        report.expect(text == "", text)


def packages_have_their_names_on_ubuntu():
    with tempfile.TemporaryDirectory() as folder:
        release = Path(folder) / "os-release"
        script = (
            '. tools/dev/setup.sh; os_release=$1; '
            'for each in g++ chromium libboost1.81-dev; do echo "$(name_here $each)"; done'
        )
        for system, names in (
            ("debian", "g++\nchromium\nlibboost1.81-dev\n"),
            ("ubuntu", "g++\n\nlibboost1.83-dev\n"),
        ):
            release.write_text(f"NAME='A name'\nID={system}\n")
            done = run(["bash", "-euo", "pipefail", "-c", script, "bash", release], cwd=ROOT)
            report.expect(done.returncode == 0 and done.stdout == names, f"{system}: {done.stdout}")


def part_without_its_package_is_an_error():
    with tempfile.TemporaryDirectory() as folder:
        done = run(
            ["meson", "setup", folder, ROOT, "-Dtests=false", "-Dkilltest=enabled"],
            env={**os.environ, "PKG_CONFIG_LIBDIR": folder},
        )
        report.expect(
            done.returncode != 0
            and "-Dkilltest=enabled needs" in done.stdout
            and "libunwind-dev" in done.stdout,
            done.stdout,
        )


def tool_without_crash_recorder_is_an_error():
    with tempfile.TemporaryDirectory() as folder:
        done = run(
            ["meson", "setup", folder, ROOT, "-Dtests=false", "-Dtool=enabled", "-Dcrash=disabled"]
        )
        report.expect(done.returncode != 0 and "needs -Dcrash=enabled" in done.stdout, done.stdout)


def demo_refuses_wrong_usage_before_it_builds():
    for arguments in (
        ["--bogus"],
        ["--kills"],
        ["--kills", "x"],
        ["--workers", "65"],
        ["--seed", "-1"],
        ["no/such/file"],
    ):
        with tempfile.TemporaryDirectory() as folder:
            root = small_project(folder)
            shutil.copy(ROOT / "tools/demo", root / "tools")
            done = run([root / "tools/demo", *arguments])
            report.expect(
                done.returncode == 2
                and "tools/demo --help" in done.stdout
                and "worker_pool" not in done.stdout,
                f"{arguments}: exit code {done.returncode}\n{done.stdout}",
            )
            report.expect(not (root / "build").exists(), f"{arguments}: something was configured")


def in_qemu(root, program):
    """(exit code, output) of killtest_in_qemu with an emulator that is this machine."""
    script = root / "made_up_test"
    script.write_text("#!/bin/sh\n" + program)
    script.chmod(0o755)
    done = run([root / "tools/dev/killtest_in_qemu", script])
    return done.returncode, done.stdout


def kill_tests_in_the_emulator_pass_only_if_each_case_ran():
    ok, failed, skipped = ("[       OK ] a.b (1 ms)", "[  FAILED  ] a.c, where it is (2 ms)",
                           "[  SKIPPED ] a.d (0 ms)")
    with tempfile.TemporaryDirectory() as folder:
        root = small_project(folder)
        shutil.copy(ROOT / "tools/dev/killtest_in_qemu", root / "tools/dev")
        emulator = root / "tools/dev/run_in_qemu"
        for says, ends, code, last in (
            ([ok, ok], 0, 0, "2 passed, 0 failed, 0 skipped"),
            ([ok, failed, "[  FAILED  ] a.c, where it is"], 1, 1, "1 passed, 1 failed, 0 skipped"),
            ([ok, failed], 0, 1, "1 passed, 1 failed, 0 skipped"),
            ([ok, skipped], 0, 1, "1 passed, 0 failed, 1 skipped"),
            ([ok], 1, 1, "1 passed, 0 failed, 0 skipped"),
            ([], 0, 1, "0 passed, 0 failed, 0 skipped"),
        ):
            # Without busybox, which need not be installed here.
            emulator.write_text(
                f'#!/bin/sh\nTMPDIR={root}\nbusybox() {{ "$@"; }}\nshift 2\neval "$1"\n'
            )
            emulator.chmod(0o755)
            text = "".join(f"echo '{line}'\n" for line in says) + f"exit {ends}\n"
            found, output = in_qemu(root, text)
            report.expect(
                found == code and output.splitlines()[-1] == last, f"{says}: {found}\n{output}"
            )
        for ends, code in ((77, 77), (2, 1)):
            emulator.write_text(f"#!/bin/sh\nexit {ends}\n")
            found, output = in_qemu(root, f"echo '{ok}'\n")
            report.expect(found == code, f"{found}\n{output}")


def the_emulator_refuses_wrong_usage_before_it_installs():
    for arguments in ([], ["--bogus"], ["--seconds", "x", "true"], ["true", "no/such/file"]):
        done = run([ROOT / "tools/dev/run_in_qemu", *arguments])
        report.expect(
            done.returncode == 2 and "tools/dev/run_in_qemu --help" in done.stdout,
            f"{arguments}: exit code {done.returncode}\n{done.stdout}",
        )


sys.exit(
    report.run(
        [
            (f"commands.{case.__name__}", case)
            for case in (
                package_that_came_later_is_found,
                other_options_keep_what_is_compiled,
                same_again_configures_nothing,
                packages_have_their_names_on_ubuntu,
                part_without_its_package_is_an_error,
                tool_without_crash_recorder_is_an_error,
                demo_refuses_wrong_usage_before_it_builds,
                kill_tests_in_the_emulator_pass_only_if_each_case_ran,
                the_emulator_refuses_wrong_usage_before_it_installs,
            )
        ]
    )
)
