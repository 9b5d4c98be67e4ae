#!/usr/bin/env python3
"""The layers are in order, and the checker that says so finds each kind of fault in a made-up tree.

Usage: layer_test.py ROOT"""

import subprocess
import sys
import tempfile
from pathlib import Path

import report

ROOT = Path(sys.argv[1])
CHECKER = ROOT / "tools/dev/check_layers.py"

# A small tree without a fault; each bad tree is this one with some files replaced.
GOOD = {
    "include/outlive/error.hpp": "#include <system_error>\n",
    "include/outlive/segment.hpp": "#include <outlive/error.hpp>\n#include <pthread.h>\n"
    "struct segment { static segment open(int); };\n",
    "include/outlive/mutex.hpp": "#include <outlive/segment.hpp>\n",
    "lib/sys/file.hpp": "#include <outlive/error.hpp>\nint open_file();\n",
    "lib/sys/file.cpp": '#include "sys/file.hpp"\n#include <fcntl.h>\n#include <sys/mman.h>\n'
    'int open_file() { return ::open("x", 0); }\n',
    "lib/segment/segment.cpp": '#include <outlive/segment.hpp>\n#include "sys/file.hpp"\n'
    "// mmap( in a comment, and pthread_mutex_lock(&m)\n"
    'const char* text = "munmap(";\n'
    "segment segment::open(int x) {\n"
    "  other.close(); store->read(); return segment::open(x + 1'000); }\n"
    "int\nread(int);\nstd::optional<int> wait(int);\nsegment& select(int);\n",
    "lib/mutex/mutex.cpp": '#include <outlive/mutex.hpp>\n#include "format/layout.hpp"\n',
    "lib/format/layout.hpp": "#include <cstdint>\n",
    "docs/examples/example.cpp": "#include <outlive/mutex.hpp>\n#include <sys/wait.h>\n"
    "#include <unistd.h>\nint main() { return fork(); }\n",
}

BAD = {
    "upward include": (
        {"lib/format/layout.hpp": '#include "mutex/mutex.hpp"\n'},
        "upward include: format must not know mutex",
    ),
    "upward include by a public header": (
        {"lib/format/layout.hpp": "#include <outlive/mutex.hpp>\n"},
        "upward include: format must not know mutex",
    ),
    "upward include from public to public": (
        {"include/outlive/segment.hpp": "#include <outlive/mutex.hpp>\n"},
        "upward include: segment must not know mutex",
    ),
    "circle": (
        {
            "lib/format/layout.hpp": '#include "format/other.hpp"\n',
            "lib/format/other.hpp": '#include "format/layout.hpp"\n',
        },
        "include circle",
    ),
    "circle of public headers": (
        {
            "include/outlive/error.hpp": "#include <outlive/other.hpp>\n",
            "include/outlive/other.hpp": "#include <outlive/error.hpp>\n",
        },
        "include circle",
    ),
    "parent folder": ({"lib/format/layout.hpp": '#include "../sys/file.hpp"\n'}, "write the path"),
    "parent folder in a test": (
        {"tests/unit/x_test.cpp": '#include "../support/agent.hpp"\n'},
        "write the path",
    ),
    "neighbour without its folder": (
        {"lib/format/layout.hpp": '#include "directory.hpp"\n'},
        "no path from lib/ or include/",
    ),
    "upward include between rooms": (
        {"lib/killtest/process/x.hpp": '#include "killtest/report/y.hpp"\n'},
        "upward include: killtest/process must not know killtest/report",
    ),
    "unknown room": ({"lib/killtest/misc/x.cpp": "int x;\n"}, "lib/killtest/misc is no layer"),
    "unknown layer": ({"lib/misc/x.cpp": "int x;\n"}, "lib/misc is no layer"),
    "system header": (
        {"lib/format/layout.hpp": "#include <unistd.h>\n"},
        "<unistd.h> belongs to lib/sys",
    ),
    "system header in a folder": (
        {"lib/mutex/mutex.cpp": "#include <sys/mman.h>\n"},
        "<sys/mman.h> belongs to lib/sys",
    ),
    "kernel header": (
        {"lib/mutex/mutex.cpp": "#include <linux/futex.h>\n"},
        "<linux/futex.h> belongs to lib/sys",
    ),
    "pthread header in lib": (
        {"lib/mutex/mutex.cpp": "#include <pthread.h>\n"},
        "<pthread.h> belongs to lib/sys",
    ),
    "system header in public": (
        {"include/outlive/error.hpp": "#include <sys/types.h>\n"},
        "a public header includes sys/types.h",
    ),
    "private header in public": (
        {"include/outlive/error.hpp": '#include "sys/file.hpp"\n'},
        "a public header includes sys/file.hpp",
    ),
    "private header in the tool": (
        {
            "lib/dwarf/names.hpp": "#include <string>\n",
            "tools/outlive/x.cpp": '#include "dwarf/names.hpp"\n#include "sys/file.hpp"\n',
        },
        "tools/outlive/x.cpp:2: private header sys/file.hpp",
    ),
    "symbolizer in an example": (
        {
            "lib/dwarf/names.hpp": "#include <string>\n",
            "docs/examples/example.cpp": '#include "dwarf/names.hpp"\n',
        },
        "public headers only",
    ),
    "private header in an example": (
        {"docs/examples/example.cpp": '#include "sys/file.hpp"\n'},
        "public headers only",
    ),
    "pthread call": (
        {"lib/mutex/mutex.cpp": "int f() { return pthread_mutex_lock (&m); }\n"},
        "pthread_mutex_lock() is a call",
    ),
    "qualified pthread call": (
        {"lib/mutex/mutex.cpp": "int f() { return ::pthread_mutex_lock(&m); }\n"},
        "pthread_mutex_lock() is a call",
    ),
    "pthread call in a public header": (
        {"include/outlive/error.hpp": "inline int f() { return pthread_self(); }\n"},
        "pthread_self() is a call",
    ),
    "mapping": (
        {"lib/segment/segment.cpp": "void* p = mmap(0, 1, 2, 3, 4, 5);\n"},
        "mmap() is a call",
    ),
    "global open": (
        {"lib/segment/segment.cpp": "int f() { return ::open(path, 0); }\n"},
        "open() is a call",
    ),
    "plain kill": (
        {"lib/supervise/x.cpp": "void f() { if (kill(pid, 9) == 0) g(); }\n"},
        "kill() is a call",
    ),
    "call on a line of its own": (
        {"lib/supervise/x.cpp": "int x =\n    getpid();\n"},
        "getpid() is a call",
    ),
    "system call by number": (
        {"lib/supervise/x.cpp": "long x = f(SYS_futex);\n"},
        "SYS_futex belongs to lib/sys",
    ),
    "assembly": (
        {"lib/supervise/x.cpp": 'void f() { asm volatile("syscall"); }\n'},
        "belongs to lib/sys",
    ),
}


def check_made_up(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {**GOOD, **files}.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return subprocess.run(
            [sys.executable, CHECKER, folder], capture_output=True, text=True, timeout=60
        )


def repository():
    done = subprocess.run(
        [sys.executable, CHECKER, ROOT], capture_output=True, text=True, timeout=60
    )
    report.expect(done.returncode == 0, done.stdout + done.stderr)


def good_tree():
    done = check_made_up({})
    report.expect(
        done.returncode == 0 and "in order" in done.stdout,
        "a good tree was refused:\n" + done.stdout + done.stderr,
    )


def empty_tree():
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, CHECKER, folder], capture_output=True, text=True, timeout=60
        )
    report.expect(done.returncode != 0, "an empty tree was accepted")


def bad_tree(files, expected):
    def case():
        done = check_made_up(files)
        report.expect(
            done.returncode == 1 and expected in done.stdout,
            f"exit code {done.returncode}, expected 1 and '{expected}':\n"
            f"{done.stdout}{done.stderr}",
        )

    return case


cases = [
    ("layers.repository", repository),
    ("layers.good_tree_is_accepted", good_tree),
    ("layers.empty_tree_is_refused", empty_tree),
]
cases += [("layers.found_" + name.replace(" ", "_"), bad_tree(*tree)) for name, tree in BAD.items()]
sys.exit(report.run(cases))
