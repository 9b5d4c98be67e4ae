#!/usr/bin/env python3
"""Compile and run the programs that the documents show.

A program is a fenced block right after a marker. In Markdown:

    <!-- run: bank times=2 -->    then a ```cpp block: a whole program; it is run that many times
                                  (once if not said)
    <!-- output: bank -->         then a ```text block: what it prints, all runs together; "..."
                                  stands for any text of a line

In man pages (scdoc) the markers are the comments "; run: bank" and "; output: bank", before a
literal block. A ```cpp block of a Markdown file without a program must say so (<!-- fragment -->),
so that no program is forgotten.

The names of segments in a program get a suffix of this run: it then meets no segment of somebody
else, and leaves none behind.
"""

import argparse
import glob
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time

MARKER = re.compile(
    r"^(?:<!-- (?P<md>(?:run|output): .*|fragment) -->|; (?P<man>(?:run|output): .*))$"
)
SEGMENT_NAME = re.compile(r'(\b(?:create|open|open_or_create|unlink)\(")([^"/]+)(")')
COMPILE_SECONDS = 300
GRACE_SECONDS = 5.0


class Program:
    def __init__(self, where, times):
        self.where = where
        self.times = times
        self.source = None
        self.line = 0
        self.output = None


class Mistake(Exception):
    """A document that breaks the rules above."""


def blocks(path):
    """Each fenced block of a file: (marker or None, language, line of its first text line, text).
    """
    marker, language, start, body = None, None, 0, []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if language is None:
            found = MARKER.match(line)
            if found:
                marker = found["md"] or found["man"]
            elif line.startswith("```"):
                language, start, body = line[3:].strip(), number + 1, []
            elif line.strip():
                marker = None
        elif line.rstrip() == "```":
            text = "\n".join(body) + "\n"
            yield marker, language, start, re.sub(
                r"\\(.)", r"\1", text
            ) if path.suffix == ".scd" else text  # scdoc escapes there, too
            marker, language = None, None
        else:
            body.append(line)
    if language is not None:
        raise Mistake(f"{path}:{start}: the block never ends")


def programs_of(path, label):
    found = {}
    for marker, language, line, text in blocks(path):
        place = f"{label}:{line}"
        if marker is None:
            if language == "cpp":
                raise Mistake(
                    f"{place}: a cpp block without <!-- run: NAME --> or <!-- fragment -->"
                )
            continue
        if marker == "fragment":
            continue
        kind, _, rest = marker.partition(": ")
        name, *options = rest.split()
        if kind == "run":
            if name in found:
                raise Mistake(f"{place}: a second program '{name}'")
            times = 1
            for option in options:
                if not re.fullmatch(r"times=[1-9][0-9]?", option):
                    raise Mistake(f"{place}: unknown option '{option}'")
                times = int(option[6:])
            found[name] = Program(f"{label}: {name}", times)
            found[name].source, found[name].line = text, line
        elif name not in found or found[name].output is not None:
            raise Mistake(
                f"{place}: output of '{name}', but no program of that name stands before it, "
                "or a second output"
            )
        else:
            found[name].output = text
    return list(found.values())


def build(program, folder, args, suffix):
    source, binary = folder / "example.cpp", folder / "example"
    text = SEGMENT_NAME.sub(lambda m: m[1] + m[2] + suffix + m[3], program.source)
    source.write_text(f'#line {program.line} "{program.where}"\n{text}')
    command = shlex.split(args.compiler) + [
        "-std=c++20",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pthread",
    ]
    command += ["-I" + folder for folder in args.include] + args.flag
    command += [
        str(source),
        "-o",
        str(binary),
        args.library,
        "-Wl,-rpath," + os.path.dirname(os.path.abspath(args.library)),
    ]
    result = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=COMPILE_SECONDS,
        text=True,
    )
    if result.returncode != 0:
        return None, "does not compile:\n" + result.stdout
    return binary, None


def end_group(group, grace):
    """The group holds a program and its children only. True if all of them ended by themselves; the
    last of the dead may take a moment to be reaped by init."""
    end = time.monotonic() + grace
    try:
        while time.monotonic() < end:
            os.killpg(group, 0)
            time.sleep(0.01)
        os.killpg(group, signal.SIGKILL)
        return False
    except ProcessLookupError:
        return True


def run_once(binary, folder, seconds):
    """(what it printed, trouble or None)"""
    with open(folder / "stdout", "w+") as out, open(folder / "stderr", "w+") as err:
        process = subprocess.Popen(
            [binary],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        try:
            code = process.wait(seconds)
            trouble = None if code == 0 else f"ended with {code}"
        except subprocess.TimeoutExpired:
            trouble = f"still running after {seconds} s"
        if not end_group(process.pid, 0 if trouble else GRACE_SECONDS):
            trouble = trouble or "left processes behind"
        process.wait()
        out.seek(0)
        err.seek(0)
        printed, complaints = out.read(), err.read()
    if trouble and complaints:
        trouble += "; it said:\n" + complaints
    return printed, trouble


def difference(expected, printed):
    pattern = "".join(
        ".*?".join(re.escape(part) for part in line.split("...")) + "\n"
        for line in expected.splitlines()
    )
    if re.fullmatch(pattern, printed):
        return None
    return f"printed\n{printed}--- the document says\n{expected}---"


def check(program, args, suffix):
    """Trouble, or None."""
    with tempfile.TemporaryDirectory(prefix="outlive-docs-") as name:
        folder = pathlib.Path(name)
        binary, trouble = build(program, folder, args, suffix)
        printed = ""
        for _ in range(program.times):
            if trouble is None:
                text, trouble = run_once(binary, folder, args.timeout)
                printed += text
        if trouble is None and program.output is not None:
            trouble = difference(program.output, printed)
        return trouble


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("documents", nargs="+")
    parser.add_argument(
        "--root", required=True, help="folder that the names of documents are shown relative to"
    )
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--library", required=True)
    parser.add_argument("--include", action="append", default=[])
    parser.add_argument(
        "--flag", action="append", default=[], help="one more argument for the compiler"
    )
    parser.add_argument(
        "--timeout", type=float, default=60, help="seconds for one run (default 60)"
    )
    parser.add_argument(
        "--only", default="", help="run only programs whose 'document: name' contains this"
    )
    args = parser.parse_args()

    failed = count = 0
    suffix = f".docs-test-{os.getpid()}"
    try:
        programs = [
            p
            for d in args.documents
            for p in programs_of(pathlib.Path(d), os.path.relpath(d, args.root))
        ]
        for program in programs:
            if args.only not in program.where:
                continue
            began = time.monotonic()
            trouble = check(program, args, suffix)
            count += 1
            failed += trouble is not None
            said = "PASS" if trouble is None else "FAIL"
            print(
                f"{said}: {program.where}{': ' + trouble if trouble else ''} "
                f"({time.monotonic() - began:.2f} s)",
                flush=True,
            )
    except Mistake as mistake:
        print(f"FAIL: {mistake}")
        return 1
    finally:
        for left in glob.glob("/dev/shm/outlive.*" + suffix):
            os.unlink(left)
    if count == 0:
        print("FAIL: the documents show no program")
    print(f"{count - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
