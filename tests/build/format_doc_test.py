#!/usr/bin/env python3
"""docs/format.md says what lib/format/layout.hpp, object_layout.hpp and death_layout.hpp do. Usage:
format_doc_test.py ROOT BUILD COMPILER...

The tables of the document become static_asserts, which the compiler checks: every constant, and the
offset and size of every field. The rows of a struct must follow each other without a gap up to its
size, and each struct there must have its table.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import report

ROOT, BUILD, COMPILER = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
DOCUMENT = ROOT / "docs/format.md"
LAYOUTS = [ROOT / f"lib/format/{name}.hpp" for name in ("layout", "object_layout", "death_layout")]
PADDING = "padding"
NO_BYTES = {"region_layout"}  # computes, is not stored
ONLY_X86_64 = {"lock_bytes"}  # holds a native mutex, whose size is the architecture's
STATE_PARTS = {
    "holder.generation": "holder().generation",
    "holder.index_plus_1": "holder().index_plus_1",
    "origin.index_plus_1": "origin().index_plus_1",
    "origin.generation": "origin().generation",
    "attempts": "attempts()",
    "condition": "condition()",
}


def tables():
    """(heading before it, cells of the head row, other rows) of each table; code marks are taken
    off.
    """
    heading, rows = "", []
    for line in DOCUMENT.read_text().splitlines() + [""]:
        if line.startswith("|"):
            rows.append([cell.strip().strip("`") for cell in line.strip().strip("|").split("|")])
            continue
        if rows:
            yield heading, rows[0], rows[2:]
            rows = []
        if line.startswith("#"):
            heading = line.lstrip("#").strip().replace("`", "")


def struct_tables():
    for heading, head, rows in tables():
        found = re.fullmatch(r"(\w+): (\d+) bytes", heading)
        if found and head[:3] == ["offset", "size", "field"]:
            yield found[1], int(found[2]), [(int(row[0]), int(row[1]), row[2]) for row in rows]


def documented(structs):
    declared = (
        set(
            re.findall(
                r"^struct (?:alignas\(\w+\) )?(\w+) \{",
                "".join(layout.read_text() for layout in LAYOUTS),
                re.MULTILINE,
            )
        )
        - NO_BYTES
    )
    documented = {name for name, _, _ in structs}
    report.expect(
        declared and declared == documented,
        f"the layout has {sorted(declared - documented)} more, "
        f"format.md {sorted(documented - declared)}",
    )


def every_struct_has_a_table():
    documented(list(struct_tables()))


def no_byte_is_left_out():
    for name, size, rows in struct_tables():
        at = 0
        for offset, bytes_, field in rows:
            report.expect(
                offset == at,
                f"{name}::{field} stands at {offset}, the field before it ends at {at}",
            )
            at += bytes_
        report.expect(at == size, f"the fields of {name} end at {at}, its size is {size}")


def struct_asserts():
    for name, size, rows in struct_tables():
        lines = [f"static_assert(sizeof({name}) == {size});"]
        for offset, bytes_, field in rows:
            if field != PADDING:
                lines.append(
                    f"static_assert(offsetof({name}, {field}) == {offset} && "
                    f"sizeof({name}::{field}) == {bytes_});"
                )
        yield from ["#ifdef __x86_64__", *lines, "#endif"] if name in ONLY_X86_64 else lines


def constant_asserts():
    count = 0
    for heading, head, rows in tables():
        scope = {
            "condition": "lock_condition",
            "death_outcome": "death_outcome",
            "block_state": "block_state",
        }.get(head[0])
        if heading == "Constants":
            for name, value, _ in rows:
                yield f"static_assert({name} == {value});"
                count += 1
        elif scope and head[1] == "value":
            for row in rows:
                yield f"static_assert(static_cast<std::uint32_t>({scope}::{row[0]}) == {row[1]});"
                count += 1
    report.expect(count >= 30, f"found {count} constants in the tables, expected 30 or more")


def state_asserts():
    """A word with only these bits set shows in this part, whole, and in no other."""
    rows = next((rows for heading, _, rows in tables() if heading == "Bits of state"), None)
    report.expect(rows is not None, "found no table of the bits of state")
    parts = {}
    for bits, part, *_ in rows:
        high, low = map(int, bits.split(".."))
        parts[part] = (high, low)
    report.expect(set(parts) == set(STATE_PARTS) | {"reserved"}, f"parts of state: {sorted(parts)}")
    report.expect(
        sum(high - low + 1 for high, low in parts.values()) == 64, "the bits of state are not 64"
    )
    for part, (high, low) in parts.items():
        for other, call in STATE_PARTS.items():
            expected = (1 << high - low + 1) - 1 if other == part else 0
            word = ((1 << high - low + 1) - 1) << low
            value = f"static_cast<std::uint32_t>(lock_state({word:#x}u).{call})"
            yield f"static_assert({value} == {expected});"


def tables_say_what_the_code_does():
    source = [
        "#include <cstddef>",
        "#include <outlive/death_log.hpp>",
        '#include "format/layout.hpp"',
        '#include "format/lock_state.hpp"',
        "using namespace outlive;",
        "using namespace outlive::detail;",
        *struct_asserts(),
        *constant_asserts(),
        *state_asserts(),
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "format.cpp"
        path.write_text("\n".join(source) + "\n")
        command = [
            *COMPILER,
            "-std=c++20",
            "-fsyntax-only",
            "-Wno-invalid-offsetof",
            f"-I{ROOT}/lib",
            f"-I{ROOT}/include",
            f"-I{BUILD}/include",
            path,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        report.expect(done.returncode == 0, done.stderr)


sys.exit(
    report.run(
        [
            ("format.every_struct_has_a_table", every_struct_has_a_table),
            ("format.no_byte_is_left_out", no_byte_is_left_out),
            ("format.tables_say_what_the_code_does", tables_say_what_the_code_does),
        ]
    )
)
