#!/usr/bin/env python3
"""Check that the folders are layers. Usage: check_layers.py [ROOT]; exit 1 and one line a fault if
they are not.

  - an include in lib/ never points up, names its file from lib/ or include/, and there is no
    circle;
  - system calls, pthread_* calls and the headers for them stand in lib/sys alone, and in the
    libraries beside the core (crash, killtest);
  - public headers include the standard library, <pthread.h> and outlive/ alone; private headers may
    also name the types of <pthread.h> and <sys/types.h>;
  - tools/ and docs/examples use public headers only; tools/outlive also the symbolizer;
  - no include says ../ anywhere.

A public header belongs to the layer that defines it: include/outlive/NAME.hpp to the folder with
NAME.cpp, so that going through a public header is no way around the rule.
"""

import re
import sys
from pathlib import Path

# Lowest first. "a/b" is a room of its own in the folder a; what lies in the folder itself is above
# its rooms.
LAYERS = ["sys", "error", "format", "mapping", "records", "directory", "segment", "repair",
          "mutex", "shared", "companions", "recovery", "inspect", "supervise", "kill_point",
          "crash", "dwarf", "killtest/process", "killtest/stores", "killtest/stacks",
          "killtest/state", "killtest/survivor", "killtest/trace", "killtest/report",
          "killtest/explore", "killtest/deaths", "killtest/soak", "killtest/sequences",
          "killtest/schedule", "killtest"]
FOLDERS = {layer.split("/")[0] for layer in LAYERS}
OUTSIDE_LAYERS = {"package"}  # no code
# the latter two trace and kill: that is what they are made of
CALL_THE_SYSTEM = {"sys", "crash", "killtest"}
# What a folder of tools/ may include of lib/ beside public headers: its sources are compiled in.
SHARED_WITH = {"tools/outlive": {"dwarf"}}
# the one public header that needs more than the standard library
FOR_GTEST = "include/outlive/killtest/gtest.hpp"

SOURCE_SUFFIXES = {".hpp", ".cpp", ".h", ".c", ".in"}

STD_HEADERS = set(
    """
algorithm any array atomic barrier bit bitset cassert cctype cerrno charconv chrono cinttypes
climits cmath compare complex concepts condition_variable coroutine cstdarg cstddef cstdint cstdio
cstdlib cstring ctime deque exception filesystem forward_list fstream functional future
initializer_list iomanip ios iosfwd iostream istream iterator latch limits list locale map memory
memory_resource mutex new numbers numeric optional ostream queue random ranges ratio regex
semaphore set shared_mutex source_location span sstream stack stdexcept stop_token streambuf string
string_view syncstream system_error thread tuple type_traits typeindex typeinfo unordered_map
unordered_set utility valarray variant vector version
""".split()
)

SYSTEM_HEADER = re.compile(
    r"^(sys/.*|linux/.*|asm/.*|bits/.*|unistd\.h|fcntl\.h|c?signal(\.h)?|sched\.h|"
    r"pthread\.h|threads\.h|semaphore\.h|"
    r"poll\.h|spawn\.h|dirent\.h|dlfcn\.h|link\.h|elf\.h|ucontext\.h|syscall\.h|mqueue\.h)$"
)

# Names that mean nothing but the system, and names that a class may well use for a function of its
# own: both count as calls where no object and no namespace stands before them.
SYSTEM_CALLS = set(
    """
mmap munmap mremap madvise mprotect mlock munlock msync memfd_create shm_open shm_unlink syscall
fork vfork clone _exit execve execv execvp execl execlp posix_spawn waitpid waitid wait4 tgkill
tkill getpid getppid gettid getuid geteuid getgid getegid setsid setpgid ftruncate fallocate
posix_fallocate fstat lstat fstatat statx fchmod fchown fcntl ioctl flock lockf openat linkat
unlinkat renameat readlink opendir readdir closedir pread pwrite pipe pipe2 socketpair dup dup2
dup3 eventfd timerfd_create epoll_create1 epoll_ctl epoll_wait ppoll pselect pidfd_open
pidfd_send_signal sigaction sigprocmask sigqueue sigwait prctl ptrace personality membarrier
set_robust_list get_robust_list nanosleep clock_nanosleep clock_gettime sysconf sem_open sem_wait
sem_post semop shmget shmat dl_iterate_phdr dladdr dlopen dlsym sched_yield sched_getcpu pkey_alloc
pkey_mprotect usleep open close read write kill raise signal link unlink rename stat poll select
wait pause alarm sleep
""".split()
)

CALL = re.compile(r"(?<![A-Za-z0-9_])(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*\(")
RAW_SYSTEM = re.compile(
    r"\b(?:SYS_[a-z0-9_]+|__NR_[a-z0-9_]+|FUTEX_[A-Z_]+)\b|"
    r"\b(?:asm|__asm__)\b\s*(?:volatile|__volatile__)?\s*\("
)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
NO_TYPE = {
    "return",
    "co_return",
    "co_await",
    "co_yield",
    "throw",
    "else",
    "do",
    "case",
    "and",
    "or",
    "not",
    "goto",
}


def blank(text):
    """The text with comments and literals replaced by spaces; lines keep their numbers."""
    token = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|'
        r'"(?:\\.|[^"\\\n])*"|(?<![0-9a-zA-Z_])\'(?:\\.|[^\'\\\n])+\'',
        re.DOTALL,
    )
    return token.sub(lambda found: re.sub(r"[^\n]", " ", found.group(0)), text)


def calls_the_system(before):
    """Whether a name with this text before it is a call of the global function of that name."""
    before = before.rstrip()
    if before.endswith("::"):
        scope = before[:-2].rstrip()
        if scope.endswith(">"):
            return False
        owner = re.search(r"([A-Za-z_]\w*)$", scope)
        return owner is None or owner.group(1) in NO_TYPE
    if before.endswith((".", "->", "~")):
        return False
    if before.endswith((">", "&", "*")) and not before.endswith("&&"):
        return False  # a declaration: std::optional<int> open(...), segment& open(...)
    word = re.search(r"([A-Za-z_]\w*)$", before)
    return word is None or word.group(1) in NO_TYPE


def layer_in(parts):
    """The layer of a path below lib/: a room of its own, if its folder has rooms, or the folder."""
    folder = parts[0]
    has_rooms = any(layer.startswith(folder + "/") for layer in LAYERS)
    return f"{folder}/{parts[1]}" if has_rooms and len(parts) > 2 else folder


def may_call_the_system(layer):
    return layer is not None and layer.split("/")[0] in CALL_THE_SYSTEM


class tree:
    def __init__(self, root):
        self.root = Path(root)
        self.faults = []
        self.graph = {}
        self.owner = self.owners_of_public_headers()

    def fault(self, path, line, text):
        self.faults.append(f"{path.relative_to(self.root)}:{line}: {text}")

    def files(self, *folders):
        for folder in folders:
            for path in sorted((self.root / folder).rglob("*")):
                if (
                    path.suffix in SOURCE_SUFFIXES
                    and path.is_file()
                    and not path.name.endswith(".cmake.in")
                ):
                    yield path

    def owners_of_public_headers(self):
        owner = {}
        for path in self.files("lib"):
            folder = path.relative_to(self.root / "lib").parts[0]
            if path.suffix == ".cpp" and folder in FOLDERS:
                for header in (path.stem + ".hpp", path.stem + ".hpp.in"):
                    if (self.root / "include/outlive" / header).exists():
                        owner["outlive/" + path.stem + ".hpp"] = folder
        return owner

    def layer_of(self, path):
        """The layer of a file in lib/ or include/; None for what belongs to none."""
        relative = path.relative_to(self.root)
        if relative.parts[0] == "lib":
            return layer_in(relative.parts[1:]) if len(relative.parts) > 2 else None
        return self.owner.get("outlive/" + relative.name.removesuffix(".in"))

    def includes(self, path):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = INCLUDE.match(line)
            if found:
                yield number, found.group(1), found.group(2)

    def resolve(self, name):
        for candidate in (
            self.root / "lib" / name,
            self.root / "include" / name,
            self.root / "include" / (name + ".in"),
        ):
            if candidate.is_file():
                return candidate
        return None

    def check_include(self, path, number, quote, name):
        layer, target = self.layer_of(path), self.resolve(name)
        target_layer = None
        if name.startswith("outlive/"):
            target_layer = self.owner.get(name)
        # <sys/...> in angle brackets is the system's.
        elif quote == '"' or "/" in name and name.split("/")[0] in FOLDERS - {"sys"}:
            target_layer = layer_in(name.split("/"))
            if "/" not in name or target_layer not in LAYERS:
                return self.fault(path, number, f'"{name}" is no path from lib/ or include/')
        if target is not None:
            self.graph.setdefault(path, []).append(target)
        if layer and target_layer and LAYERS.index(target_layer) > LAYERS.index(layer):
            self.fault(
                path, number, f"upward include: {layer} must not know {target_layer} ({name})"
            )
        return None

    def check_library(self):
        for path in self.files("lib", "include"):
            layer = self.layer_of(path)
            if layer in OUTSIDE_LAYERS or layer and layer not in LAYERS:
                self.fault(
                    path,
                    1,
                    f"lib/{layer} is no layer: add it to LAYERS in tools/dev/check_layers.py, "
                    "in its place",
                )
                continue
            public = path.relative_to(self.root).parts[0] == "include"
            for number, quote, name in self.includes(path):
                self.check_include(path, number, quote, name)
                if (
                    public
                    and str(path.relative_to(self.root)) == FOR_GTEST
                    and name == "gtest/gtest.h"
                ):
                    continue
                if public and not (
                    name.startswith("outlive/")
                    or quote == "<"
                    and (name in STD_HEADERS or name == "pthread.h")
                ):
                    self.fault(path, number, f"a public header includes {name}")
                elif name in ("pthread.h", "sys/types.h") and path.suffix == ".hpp":
                    pass  # for the type; calls are found below
                elif (
                    not public
                    and not may_call_the_system(layer)
                    and quote == "<"
                    and SYSTEM_HEADER.match(name)
                ):
                    self.fault(path, number, f"<{name}> belongs to lib/sys")
            if not may_call_the_system(layer):
                self.check_calls(path)

    def check_calls(self, path):
        text = blank(path.read_text())
        text = re.sub(r"(?m)^[ \t]*#[^\n]*", lambda found: " " * len(found.group(0)), text)
        for found in CALL.finditer(text):
            name = found.group("name")
            if (
                name.startswith("pthread_")
                or name in SYSTEM_CALLS
                and calls_the_system(text[max(0, found.start() - 200) : found.start()])
            ):
                self.fault(
                    path,
                    text.count("\n", 0, found.start()) + 1,
                    f"{name}() is a call of the system: it belongs to lib/sys "
                    "(write class:: or namespace:: before one of ours)",
                )
        for found in RAW_SYSTEM.finditer(text):
            self.fault(
                path,
                text.count("\n", 0, found.start()) + 1,
                f"{found.group(0).strip(' (')} belongs to lib/sys",
            )

    def check_users(self):
        for path in self.files("tools", "docs/examples"):
            shared = SHARED_WITH.get("/".join(path.relative_to(self.root).parts[:2]), set())
            for number, quote, name in self.includes(path):
                if name.split("/")[0] in shared:
                    continue
                private = (
                    "/" in name
                    and name.split("/")[0] in FOLDERS
                    and (quote == '"' or self.resolve(name))
                )
                if private and self.resolve(name) and not name.startswith("outlive/"):
                    self.fault(
                        path,
                        number,
                        f"private header {name}: tools and examples use public headers only",
                    )

    def check_parents(self):
        for path in self.files("include", "lib", "tests", "tools", "docs"):
            for number, _, name in self.includes(path):
                if ".." in name.split("/"):
                    self.fault(
                        path, number, f"{name}: write the path from lib/, include/ or tests/"
                    )

    def check_circles(self):
        done, stack = set(), []

        def visit(path):
            if path in stack:
                circle = stack[stack.index(path) :] + [path]
                self.fault(
                    path,
                    1,
                    "include circle: " + " -> ".join(str(p.relative_to(self.root)) for p in circle),
                )
                return
            if path in done:
                return
            stack.append(path)
            for target in self.graph.get(path, []):
                visit(target)
            stack.pop()
            done.add(path)

        for path in sorted(self.graph):
            visit(path)

    def check(self):
        if not any(self.files("lib")) or not any(self.files("include")):
            self.faults.append(f"{self.root}: no sources in lib/ or include/: nothing was checked")
        self.check_library()
        self.check_users()
        self.check_parents()
        self.check_circles()
        return self.faults


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
    faults = tree(root).check()
    for fault in faults:
        print(fault)
    print(f"layers: {len(faults)} faults" if faults else "layers: in order")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
