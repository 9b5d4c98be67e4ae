#!/usr/bin/env python3
"""Includes are those that are used, and the checker finds each kind of fault in a made-up tree.

Usage: includes_test.py ROOT"""

import subprocess
import sys
import tempfile
from pathlib import Path

import report

ROOT = Path(sys.argv[1])
CHECKER = ROOT / "tools/dev/check_includes"

# A small tree without a fault; each bad tree is this one with some files replaced.
GOOD = {
    "include/outlive/segment.hpp": "#pragma once\n#include <string>\nnamespace outlive {\n"
    "class segment { std::string name_; };\n}\n",
    "include/outlive/outlive.hpp": "#pragma once\n#include <outlive/segment.hpp>\n",
    "lib/sys/file.hpp": "#pragma once\n#include <cstddef>\n#include <vector>\n"
    "#define OPENED 1\nnamespace outlive::detail {\n"
    "struct elsewhere;\nenum class kind : int { one };\nenum { first_flag, last_flag = 4 };\n"
    "using bytes = std::vector<char>;\n"
    "inline constexpr int answers[] = {1, 2};\ntemplate <class T> concept small = sizeof(T) < 8;\n"
    "template <class T> inline constexpr bool is_file = false;\n"
    "template <> inline constexpr bool is_file<int> = true;\n"
    "struct file final : base { void close_it(); };\n"
    "std::size_t read_all(std::vector<int> into, int (*how)(int)) noexcept;\n"
    "inline int with_default(int x, int y = 0) { return x + y; }\n"
    "constexpr auto with_lambda = [](int x) { return x; };\n"
    "bool operator==(file, file) { return true; }\n"
    "inline int twice(int x) { int local_name{x}; return local_name * 2; }\n}\n",
    "lib/sys/file.cpp": '#include "sys/file.hpp"\n'
    '// nothing of it is used: it is the own header, and brings <cstddef>\n'
    'std::size_t x;\n',
    "lib/sys/user.cpp": '#include <cstring>\n#include "sys/file.hpp"\n'
    '#include <outlive/outlive.hpp>\nint f() { return strlen(twice(1)); }\n',
    "lib/sys/signs.cpp": "#include <compare>\n#include <initializer_list>\n#include <new>\n"
    "auto f(int x, int y) { return x <=> y; }\n"
    "void g(void* at) { for (int each : {1, 2}) new (at) int(each); }\n",
    "tools/outlive/table.hpp": "#pragma once\nstruct table {};\n",
    "tools/outlive/show.cpp": '#include "table.hpp"\n#include <fmt/format.h>\ntable t;\n',
}
USER = "lib/sys/user.cpp"


def uses(text, header="sys/file.hpp"):
    return {USER: f'#include "{header}"\n{text}\n'}


BAD = {
    "own header": (uses("int other;"), "user.cpp:1: sys/file.hpp is not used"),
    "own header named in a comment and a text": (
        uses('// twice(x)\nconst char* text = "twice";'),
        "sys/file.hpp is not used",
    ),
    "name of a parameter": (uses("int into;"), "sys/file.hpp is not used"),
    "name in a function": (uses("int local_name;"), "sys/file.hpp is not used"),
    "name that is declared elsewhere": (uses("elsewhere* x;"), "sys/file.hpp is not used"),
    "public header": (
        {USER: "#include <outlive/segment.hpp>\n"},
        "user.cpp:1: outlive/segment.hpp is not used",
    ),
    "header of the tool": (
        {"tools/outlive/show.cpp": '#include "table.hpp"\nint t;\n'},
        "show.cpp:1: table.hpp is not used",
    ),
    "standard header": ({USER: "#include <vector>\nint x;\n"}, "user.cpp:1: <vector> is not used"),
    "standard header in a header": (
        {"tools/outlive/table.hpp": "#include <array>\nstruct table {};\n"},
        "table.hpp:1: <array> is not used",
    ),
    "missing standard header": (
        {USER: "int x;\nstd::optional<int> y;\n"},
        "user.cpp:2: std::optional is used without <optional>",
    ),
    "standard header two includes away": (
        {
            "lib/sys/more.hpp": '#include "sys/file.hpp"\ninline int more = twice(1);\n',
            USER: '#include "sys/more.hpp"\nstd::vector<int> y(more);\n',
        },
        "std::vector is used without <vector>",
    ),
    "allowed without a reason": (
        {"tools/dev/allowed_includes": f"{USER} vector\n"},
        "not a file, a header and # a reason",
    ),
    "allowed for nothing": (
        {"tools/dev/allowed_includes": f"{USER} vector # why\n"},
        "nothing to allow here",
    ),
}
USED_BY = [
    "OPENED",
    "kind",
    "last_flag",
    "bytes",
    "answers",
    "small",
    "is_file",
    "file",
    "read_all",
    "with_default",
    "with_lambda",
    "twice",
]


def check_made_up(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**GOOD, **files}.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return subprocess.run(
            [sys.executable, CHECKER, folder], capture_output=True, text=True, timeout=60
        )


def expect_accepted(done):
    report.expect(done.returncode == 0 and "in order" in done.stdout, done.stdout + done.stderr)


def repository():
    expect_accepted(
        subprocess.run([sys.executable, CHECKER, ROOT], capture_output=True, text=True, timeout=60)
    )


def empty_tree():
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, CHECKER, folder], capture_output=True, text=True, timeout=60
        )
    report.expect(
        done.returncode == 1 and "nothing was checked" in done.stdout, done.stdout + done.stderr
    )


def allowed():
    expect_accepted(
        check_made_up(
            {
                USER: "#include <vector>\n",
                "tools/dev/allowed_includes": f"# why\n{USER} vector # for its users\n",
            }
        )
    )


def good_tree(files):
    return lambda: expect_accepted(check_made_up(files))


def bad_tree(files, expected):
    def case():
        done = check_made_up(files)
        report.expect(
            done.returncode == 1
            and expected in done.stdout
            and "includes: 1 faults" in done.stdout,
            f"exit code {done.returncode}, expected 1 and '{expected}':\n"
            f"{done.stdout}{done.stderr}",
        )

    return case


cases = [
    ("includes.repository", repository),
    ("includes.good_tree_is_accepted", good_tree({})),
    ("includes.empty_tree_is_refused", empty_tree),
    ("includes.allowed_include_is_accepted", allowed),
]
cases += [
    ("includes.accepted_use_of_" + name, good_tree(uses(f"auto x = {name};"))) for name in USED_BY
]
cases += [
    ("includes.found_" + name.replace(" ", "_"), bad_tree(*tree)) for name, tree in BAD.items()
]
sys.exit(report.run(cases))
