#!/usr/bin/env python3
"""The installed library can be used by others: pkg-config, CMake, a meson subproject, static.

Usage: install_test.py ROOT BUILD COMPILER...

Everything happens in a temporary folder: the library is installed there, and a small program is
built against that copy and run. """

import atexit
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import report

ROOT, BUILD, COMPILER = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
CONSUMER = ROOT / "tests/build/consumer"
SCRATCH = Path(tempfile.mkdtemp(prefix="outlive-install-"))
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)
DESTDIR = SCRATCH / "installed"

ALLOWED_NEEDED = re.compile(
    r"^(libc\.so\.6|libstdc\+\+\.so\.6|libgcc_s\.so\.1|libm\.so\.6|ld-linux.*\.so\.\d)$"
)
# Members, functions, type information and guards of namespace outlive.
OUR_SYMBOL = re.compile(r"^_Z(T[ISV]|GV)?N[VK]*[RO]?7outlive")


def run(*command, env=None, cwd=None, fails=False):
    command = [str(part) for part in command]
    done = subprocess.run(
        command,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    report.expect(
        (done.returncode != 0) == fails,
        f"exit code {done.returncode}: {shlex.join(command)}\n{done.stdout}",
    )
    return done.stdout


def introspect(what):
    return json.loads(run("meson", "introspect", what, BUILD))


VERSION = introspect("--projectinfo")["version"]
OPTIONS = {option["name"]: option["value"] for option in introspect("--buildoptions")}
PREFIX = DESTDIR / OPTIONS["prefix"].lstrip("/")
LIBDIR = PREFIX / OPTIONS["libdir"]
RUN_ENV = {"LD_LIBRARY_PATH": str(LIBDIR)}
LIBRARY = LIBDIR / f"liboutlive.so.{VERSION}"


def installed_files():
    run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", DESTDIR)
    wanted = {
        PREFIX / "include" / str(path.relative_to(ROOT / "include")).removesuffix(".in")
        for path in (ROOT / "include").rglob("*")
        if path.suffix in (".hpp", ".in")
    }
    libraries = ["outlive", "outlive-crash", "outlive-killtest"]
    for name in libraries:
        wanted |= {
            LIBDIR / f"lib{name}.so.{VERSION}",
            LIBDIR / f"lib{name}.so",
            LIBDIR / f"pkgconfig/{name}.pc",
        }
    wanted |= {
        LIBDIR / "cmake/outlive/outliveConfig.cmake",
        LIBDIR / "cmake/outlive/outliveConfigVersion.cmake",
    }
    wanted.add(PREFIX / OPTIONS["bindir"] / "outlive")
    wanted |= {
        PREFIX / OPTIONS["datadir"] / path
        for path in ("bash-completion/completions/outlive", "zsh/site-functions/_outlive")
    }
    wanted |= {
        PREFIX / OPTIONS["mandir"] / ("man" + page.stem.split(".")[-1]) / page.stem
        for page in (ROOT / "docs/man").glob("*.scd")
    }
    found = {path for path in DESTDIR.rglob("*") if not path.is_dir()}
    for name in libraries:
        link = [
            path
            for path in found
            if re.fullmatch(rf"lib{name}\.so\.[\d.]+", path.name)
            and not path.name.endswith(VERSION)
        ]
        report.expect(
            len(link) == 1 and link[0].is_symlink(),
            f"one link named as the soname of {name}, found {link}",
        )
        found -= set(link)
    report.expect(
        found == wanted,
        "not installed: "
        + " ".join(sorted(map(str, wanted - found)))
        + "\ninstalled, but not known here: "
        + " ".join(sorted(map(str, found - wanted))),
    )


def compile_consumer(source, output, *more, fails=False):
    """Compile a program of the consumer's against the installed library; return what the compiler
    and the linker said.
    """
    env = {"PKG_CONFIG_PATH": str(LIBDIR / "pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": str(DESTDIR)}
    flags = shlex.split(run("pkg-config", "--cflags", "--libs", "outlive", env=env))
    return run(
        *COMPILER,
        "-std=c++20",
        "-Wall",
        "-Wextra",
        "-Werror",
        *more,
        CONSUMER / source,
        "-o",
        SCRATCH / output,
        *flags,
        fails=fails,
    )


def run_consumer(program, env=None):
    output = run(program, env=env)
    report.expect(
        output.split()[0] == VERSION,
        f"the program names version {output.strip()}, expected {VERSION}",
    )


def pkg_config():
    env = {"PKG_CONFIG_PATH": str(LIBDIR / "pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": str(DESTDIR)}
    report.expect(
        run("pkg-config", "--modversion", "outlive", env=env).strip() == VERSION,
        "another version in outlive.pc",
    )
    compile_consumer("main.cpp", "by_pkg_config")
    run_consumer(SCRATCH / "by_pkg_config", RUN_ENV)


def without_exceptions():
    compile_consumer("no_exceptions.cpp", "no_exceptions", "-fno-exceptions")
    run_consumer(SCRATCH / "no_exceptions", RUN_ENV)


def other_layouts():
    """Containers of another layout would link, and crash: the reference to a symbol named after the
    layout does not.
    """
    discarding = ["-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-O2"]
    for flags, named in (
        (["-D_GLIBCXX_DEBUG"], "GLIBCXX_DEBUG"),
        (["-D_GLIBCXX_USE_CXX11_ABI=0"], "GLIBCXX_USE_CXX11_ABI_0"),
        (
            ["-D_GLIBCXX_DEBUG", "-D_GLIBCXX_USE_CXX11_ABI=0"],
            "GLIBCXX_DEBUG_and_GLIBCXX_USE_CXX11_ABI_0",
        ),
    ):
        # The second program calls no function whose name has the layout in it.
        for source, more in (
            ("main.cpp", []),
            ("no_exceptions.cpp", []),
            ("no_exceptions.cpp", discarding),
        ):
            output = compile_consumer(source, "other_layout", *flags, *more, fails=True)
            report.expect(
                f"outlive::detail::liboutlive_compiled_with_{named}'" in output,
                f"{flags}: the linker does not name the layout:\n{output}",
            )
    compile_consumer("main.cpp", "assertions", "-D_GLIBCXX_ASSERTIONS")  # changes no layout
    run_consumer(SCRATCH / "assertions", RUN_ENV)


def cmake_configure(name, wanted, components="", fails=False):
    return run(
        "cmake",
        "-G",
        "Ninja",
        "-S",
        CONSUMER,
        "-B",
        SCRATCH / name,
        f"-DCMAKE_PREFIX_PATH={PREFIX}",
        f"-DCMAKE_CXX_COMPILER={COMPILER[-1]}",
        f"-DWANTED_OUTLIVE={wanted}",
        f"-DCOMPONENTS={components}",
        fails=fails,
    )


def cmake():
    cmake_configure("by_cmake", VERSION)
    run("cmake", "--build", SCRATCH / "by_cmake")
    run_consumer(SCRATCH / "by_cmake/consumer")


def cmake_versions():
    major, minor = (int(part) for part in VERSION.split(".")[:2])
    cmake_configure("same_minor", f"{major}.{minor}")
    for other in (f"{major}.{minor + 1}", f"{major + 1}.0"):
        output = cmake_configure(f"other_{other}", other, fails=True)
        report.expect(
            "outliveConfig.cmake, version: " + VERSION in output,
            f"refused {other} for another reason:\n{output}",
        )


def cmake_components():
    cmake_configure(
        "components", f"{VERSION};COMPONENTS;killtest;crash", components="killtest;crash"
    )
    run("cmake", "--build", SCRATCH / "components")
    for component in ("killtest", "crash"):
        run(SCRATCH / "components" / f"uses_{component}")


def cmake_refuses_other_components():
    output = cmake_configure("unknown", "COMPONENTS;crash;none", fails=True)
    report.expect(
        "found no component none in outlive" in " ".join(output.split()),
        f"refused for another reason:\n{output}",
    )
    cmake_configure("optional", "COMPONENTS;crash;OPTIONAL_COMPONENTS;none", components="crash")
    library = LIBDIR / f"liboutlive-killtest.so.{VERSION}"
    library.rename(SCRATCH / "away")
    try:
        output = cmake_configure("not_installed", "COMPONENTS;killtest", fails=True)
        report.expect(
            "found the component killtest not installed" in " ".join(output.split()),
            f"refused for another reason:\n{output}",
        )
        cmake_configure("not_installed_optional", "OPTIONAL_COMPONENTS;killtest")
    finally:
        (SCRATCH / "away").rename(library)


def static_library():
    """A static library, in a build of its own: objects that nothing refers to are left out by the
    linker, nothing keeps a plug-in loaded. Four sources make an object, which is quicker.
    """
    build, prefix = SCRATCH / "static_build", SCRATCH / "static"
    run(
        "meson",
        "setup",
        build,
        ROOT,
        f"--prefix={prefix}",
        "-Dlibdir=lib",
        "-Dbuildtype=plain",
        "-Ddefault_library=static",
        "-Dunity=on",
        "-Dunity_size=4",
        "-Dtests=false",
        "-Ddocs=disabled",
        "-Dexamples=false",
        "-Dtool=disabled",
        "-Dkilltest=disabled",
        "-Dcrash=disabled",
        env={"CXX": shlex.join(COMPILER)},
    )
    run("meson", "install", "-C", build, "--quiet")
    libraries = sorted(path.name for path in (prefix / "lib").glob("lib*"))
    report.expect(
        libraries == ["liboutlive.a"],
        f"found the libraries {libraries}, expected liboutlive.a alone",
    )
    env = {"PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig")}
    flags = shlex.split(run("pkg-config", "--cflags", "--libs", "--static", "outlive", env=env))
    compiled = [*COMPILER, "-std=c++20", "-Wall", "-Wextra", "-Werror"]
    for name, more in (("static", []), ("all_static", ["-static"])):
        run(*compiled, *more, CONSUMER / "main.cpp", "-o", SCRATCH / f"{name}_consumer", *flags)
        run_consumer(SCRATCH / f"{name}_consumer")
    run(*compiled, "-shared", "-fPIC", CONSUMER / "plugin.cpp", "-o", SCRATCH / "plugin.so", *flags)
    run(*compiled, "-pthread", CONSUMER / "unload.cpp", "-o", SCRATCH / "unload", "-ldl")
    run(SCRATCH / "unload", SCRATCH / "plugin.so")
    run(
        "cmake",
        "-G",
        "Ninja",
        "-S",
        CONSUMER,
        "-B",
        SCRATCH / "static_cmake",
        f"-DCMAKE_PREFIX_PATH={prefix}",
        f"-DCMAKE_CXX_COMPILER={COMPILER[-1]}",
        f"-DWANTED_OUTLIVE={VERSION}",
    )
    run("cmake", "--build", SCRATCH / "static_cmake")
    run_consumer(SCRATCH / "static_cmake/consumer")


def meson_subproject():
    project = SCRATCH / "by_subproject"
    shutil.copytree(CONSUMER, project)
    listing = run("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    for name in filter(None, listing.split("\0")):
        if (ROOT / name).is_file():
            target = project / "subprojects/outlive" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    build = project / "build"
    # The installed copy must not be found: the subproject is what is tested. Its sources are
    # compiled in a few pieces, which is quicker.
    run(
        "meson",
        "setup",
        build,
        project,
        "--force-fallback-for=outlive",
        "-Dbuildtype=plain",
        "-Dunity=on",
        "-Dunity_size=20",
        env={"CXX": shlex.join(COMPILER)},
    )
    run("ninja", "-C", build)
    run_consumer(build / "consumer")
    targets = {
        target["name"] for target in json.loads(run("meson", "introspect", "--targets", build))
    }
    report.expect(
        targets == {"consumer", "outlive"},
        f"a subproject builds the library alone, found {sorted(targets)}",
    )


def exported_symbols():
    lines = run("nm", "-D", "--defined-only", LIBRARY).splitlines()
    symbols = [line.split()[-1].split("@")[0] for line in lines]
    report.expect("_ZN7outlive7versionEv" in symbols, "outlive::version() is not exported")
    strange = [symbol for symbol in symbols if not OUR_SYMBOL.match(symbol)]
    report.expect(
        not strange,
        f"{len(strange)} exported symbols are not of namespace outlive:\n" + "\n".join(strange),
    )


def needed_libraries():
    dynamic = run("readelf", "-d", "-W", LIBRARY, env={"LC_ALL": "C"})
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    strange = [name for name in needed if not ALLOWED_NEEDED.match(name)]
    report.expect("(SONAME)" in dynamic, "no dynamic section was read:\n" + dynamic)
    report.expect(not strange, f"needs {strange} beside libc and libstdc++")


def never_unloaded():
    dynamic = run("readelf", "-d", "-W", LIBRARY, env={"LC_ALL": "C"})
    report.expect(
        re.search(r"\(FLAGS_1\).*NODELETE", dynamic),
        "the library is not marked NODELETE:\n" + dynamic,
    )


def hardened():
    """What the dynamic section, the program headers and the symbols of a built file show of how it
    was compiled and linked.
    """
    optimised = OPTIONS["optimization"] not in ("0", "plain") and OPTIONS["b_sanitize"] == "none"
    for path in [
        LIBDIR / f"lib{name}.so.{VERSION}"
        for name in ("outlive", "outlive-crash", "outlive-killtest")
    ] + [PREFIX / OPTIONS["bindir"] / "outlive"]:
        output = run("readelf", "-d", "-l", "-W", path, env={"LC_ALL": "C"})
        report.expect(
            "GNU_RELRO" in output and re.search(r"\(FLAGS(_1)?\).*\b(BIND_)?NOW\b", output),
            f"{path.name} has no full RELRO:\n{output}",
        )
        report.expect(
            re.search(r"GNU_STACK .* RW ", output),
            f"{path.name} has an executable stack, or does not say:\n{output}",
        )
        imported = run("nm", "-D", "--undefined-only", path)
        report.expect("__stack_chk_fail" in imported, f"{path.name} has no stack protector")
        if optimised and "clang" not in COMPILER[-1]:
            report.expect(
                re.search(r"__\w+_chk\b", imported.replace("__stack_chk_fail", "")),
                f"{path.name} has no function of _FORTIFY_SOURCE",
            )


def changelog_names_the_version():
    headings = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    report.expect(
        VERSION in headings, f"CHANGELOG.md has no section for {VERSION}, only {headings}"
    )


sys.exit(
    report.run(
        [
            ("install.files", installed_files),
            ("install.pkg_config", pkg_config),
            ("install.without_exceptions", without_exceptions),
            ("install.other_layouts_are_refused", other_layouts),
            ("install.cmake", cmake),
            ("install.cmake_refuses_other_versions", cmake_versions),
            ("install.cmake_components", cmake_components),
            ("install.cmake_refuses_other_components", cmake_refuses_other_components),
            ("install.static_library", static_library),
            ("install.meson_subproject", meson_subproject),
            ("install.exported_symbols", exported_symbols),
            ("install.needed_libraries", needed_libraries),
            ("install.never_unloaded", never_unloaded),
            ("install.hardened", hardened),
            ("install.changelog_names_the_version", changelog_names_the_version),
        ]
    )
)
