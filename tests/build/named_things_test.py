#!/usr/bin/env python3
"""What documents and comments name exists, and what exists is named.

Usage: named_things_test.py ROOT"""

import re
import subprocess
import sys
from pathlib import Path

import report

ROOT = Path(sys.argv[1])
sys.path.insert(0, str(ROOT / "tools/dev"))

# Files of programs that use the library, in examples: they are not in this repository.
USERS_FILES = {"app.cpp"}
# Options of other people's programs that documents name.
FOREIGN_OPTIONS = {
    "--prefix",
    "--args",
    "--reconfigure",
    "--wipe",
    "--buildtype",
    "--cflags",
    "--libs",
    "--gtest_filter",
    "--ipc",
    "--pid",
    "--fork",
    "--mount-proc",
    "--shm-size",
    "--worker",
}
# What templates and macros of public headers are made of.
BEHIND_TEMPLATES = {"object_type", "type_hashes", "guarded_type", "repairs_plugin"}
# What the umbrella leaves out, because it needs another library, or another kind of program.
BESIDE_THE_UMBRELLA = {
    "crash_recorder.hpp",
    "live_stack.hpp",
    "repairs_plugin.hpp",
    "segment_view.hpp",
}

PATH = re.compile(r"(?<![\w./-])((?:lib|include|tests|tools|docs|\.ci)/[\w.{},*/-]*[\w*}/])")
FILE = re.compile(r"(?<![\w./<-])(\w[\w-]*\.(?:cpp|hpp|py|pml|md|scd))\b(?!\()")
PUBLIC = re.compile(r"<(outlive/[\w/]+\.hpp)>")
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z0-9-]+)")


def tracked():
    done = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    return [ROOT / name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


FILES = tracked()
NAMES = {path.name for path in FILES} | {path.name.removesuffix(".in") for path in FILES}
DOCUMENTS = [
    path for path in FILES if path.suffix in (".md", ".scd") and path.name != "CHANGELOG.md"
]
SOURCES = [
    path
    for path in FILES
    if path.suffix in (".hpp", ".cpp")
    and path.relative_to(ROOT).parts[0] in ("include", "lib", "tests", "tools")
]


def code(path):
    """[(line number, text)] of a document's code: blocks whole, and what stands between backquotes,
    or asterisks in a man page.
    """
    found, block = [], False
    span = re.compile(r"`([^`]+)`" if path.suffix == ".md" else r"\*([^*]+)\*")
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("```"):
            block = not block
        elif block:
            found.append((number, line))
        else:
            found += [(number, text) for text in span.findall(line)]
    return found


def comments(path):
    return [
        (number, line.partition("//")[2])
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "//" in line
    ]


def everywhere():
    for path in DOCUMENTS:
        for number, text in code(path):
            yield f"{path.relative_to(ROOT)}:{number}", text
    for path in SOURCES:
        for number, text in comments(path):
            yield f"{path.relative_to(ROOT)}:{number}", text


def spelled_out(name):
    """a{b,c}d as [abd, acd]."""
    group = re.search(r"\{([^{}]*)\}", name)
    if not group:
        return [name]
    return [
        one
        for part in group.group(1).split(",")
        for one in spelled_out(name[: group.start()] + part + name[group.end() :])
    ]


def is_there(name):
    name = name.rstrip("/.")
    if "NAME" in name or "SUITE" in name or "LAYER" in name:
        return True
    return any(ROOT.glob(name)) or any(ROOT.glob(name + ".in"))


def paths():
    wrong = [
        f"{place}: {name}"
        for place, text in everywhere()
        for found in PATH.findall(text)
        for name in spelled_out(found)
        if not is_there(name)
    ]
    report.expect(not wrong, "there is no such file or folder:\n" + "\n".join(wrong))


def files():
    wrong = [
        f"{place}: {name}"
        for place, text in everywhere()
        for name in FILE.findall(text)
        if name not in NAMES | USERS_FILES and "NAME" not in name
    ]
    report.expect(not wrong, "no file has this name:\n" + "\n".join(wrong))


def headers():
    wrong = [
        f"{place}: {name}"
        for place, text in everywhere()
        for name in PUBLIC.findall(text)
        if not is_there("include/" + name)
    ]
    report.expect(not wrong, "there is no such header:\n" + "\n".join(wrong))


def layers():
    import check_layers

    missing = [name for name in check_layers.LAYERS if not (ROOT / "lib" / name).is_dir()]
    unnamed = [
        path.name
        for path in (ROOT / "lib").iterdir()
        if path.is_dir() and path.name not in [*check_layers.LAYERS, *check_layers.OUTSIDE_LAYERS]
    ]
    report.expect(
        not missing and not unnamed,
        f"layers without a folder: {missing}, folders without a layer: {unnamed}",
    )
    line = next(
        line
        for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines()
        if line.startswith("| `lib/` |")
    )
    listed = re.findall(r"`(\w+)`", line.partition("layers:")[2])
    beside = ("crash", "dwarf", "killtest")
    core = [name for name in check_layers.LAYERS if name.split("/")[0] not in beside]
    report.expect(
        listed == core, f"CONTRIBUTING.md has the layers {listed}, check_layers.py {core}"
    )


def commands():
    known = {
        path.name.removesuffix(".1.scd").removeprefix("outlive-")
        for path in (ROOT / "docs/man").glob("outlive-*.1.scd")
    }
    report.expect(known, "no command has a man page")
    known.add("help")  # outlive(1) describes it
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: outlive {word}"
        for path in DOCUMENTS
        for number, text in code(path)
        for word in re.findall(r"(?:^|\$ |sudo |&& )outlive ([a-z]+)", text.strip())
        if word not in known
    ]
    report.expect(not wrong, "the tool has no such command:\n" + "\n".join(wrong))


def options():
    kinds = (".cpp", ".hpp", ".py", ".txt", ".in")
    ours = set()
    for path in FILES:
        if (
            path.suffix in kinds
            or path.parent == ROOT / "tools"
            or path.parent == ROOT / "tools/dev"
        ):
            ours |= set(OPTION.findall(path.read_text(errors="replace")))
            if path.suffix == ".cpp":  # CLI11: "-j,--json"
                ours |= {
                    "--" + name
                    for name in re.findall(r'"(?:-\w,)?--([a-z][a-z0-9-]+)', path.read_text())
                }
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {name}"
        for path in DOCUMENTS
        for number, text in code(path)
        for name in OPTION.findall(text)
        if name not in ours | FOREIGN_OPTIONS
    ]
    report.expect(not wrong, "nothing here has this option:\n" + "\n".join(wrong))


def rules():
    """Hazards (A1 ...) and rules (U1 ...) that a comment gives as its reason stand in a table."""
    rows = {}
    for page, letter in (("docs/limits.md", "A"), ("docs/protocol.md", "U")):
        rows[letter] = set(
            re.findall(rf"^\| ({letter}\d+) \|", (ROOT / page).read_text(), re.MULTILINE)
        )
        report.expect(rows[letter], f"{page} has no rows {letter}1, {letter}2 ...")
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {name}"
        for path in SOURCES
        for number, text in comments(path)
        for name in re.findall(r"\b([AU]\d+)\b", text)
        if name not in rows[name[0]]
    ]
    report.expect(not wrong, "no table has this row:\n" + "\n".join(wrong))


def public_headers():
    return sorted(
        path.name.removesuffix(".in") for path in (ROOT / "include/outlive").glob("*.hpp*")
    )


def every_public_header_is_named():
    umbrella = (ROOT / "include/outlive/outlive.hpp").read_text()
    readme = (ROOT / "README.md").read_text()
    pages = "".join(path.read_text() for path in (ROOT / "docs/man").glob("*.scd"))
    wrong = []
    for name in public_headers():
        if name == "outlive.hpp":
            continue
        if f"<outlive/{name}>" not in umbrella and name not in BESIDE_THE_UMBRELLA:
            wrong.append(f"{name}: not in <outlive/outlive.hpp>")
        if f"`<outlive/{name}>`" not in readme:
            wrong.append(f"{name}: not in README.md")
        if f"<outlive/{name}>" not in pages:
            wrong.append(f"{name}: in no man page")
    report.expect(not wrong, "\n".join(wrong))


def members_of(header):
    """{struct: [members]} of the plain structs of a header that are not in namespace detail."""
    text = re.sub(
        r"^namespace detail \{\n.*?^\}(?!;)", "", header.read_text(), flags=re.DOTALL | re.MULTILINE
    )
    text = re.sub(r"//[^\n]*", "", text)
    found = {}
    for name, body in re.findall(
        r"^struct (?:OUTLIVE_API )?(\w+) \{\n(.*?)^\};", text, re.DOTALL | re.MULTILINE
    ):
        found[name] = re.findall(
            r"^  [\w:<>,\s\*\(\)]+?[\s>](\w+)(?:\{[^}]*\}| = [^;]+)?;", body, re.MULTILINE
        )
    return found


def plain(page):
    """The text of a man page, without the marks for bold and underlined."""
    return re.sub(r"(?<!\w)_(\w+)_(?!\w)", r"\1", page.read_text().replace("\\", ""))


def members_stand_in_the_man_page():
    wrong = []
    for header in sorted((ROOT / "include/outlive").rglob("*.hpp")):
        include = "<" + str(header.relative_to(ROOT / "include")) + ">"
        pages = [
            path for path in (ROOT / "docs/man").glob("*.3.scd") if include in path.read_text()
        ]
        text = "".join(plain(page) for page in pages)
        for struct, members in members_of(header).items():
            if struct in BEHIND_TEMPLATES:
                continue
            lost = [name for name in members if not re.search(rf"\b{name}\b", text)]
            if lost and pages:
                wrong.append(
                    f"{include} {struct}: {', '.join(lost)} not in "
                    f"{', '.join(page.name for page in pages)}"
                )
    report.expect(not wrong, "\n".join(wrong))


sys.exit(
    report.run(
        [
            (f"named_things.{case.__name__}", case)
            for case in (
                paths,
                files,
                headers,
                layers,
                commands,
                options,
                rules,
                every_public_header_is_named,
                members_stand_in_the_man_page,
            )
        ]
    )
)
