#!/usr/bin/env python3
"""The picture of the floors is drawn from the tree, and a change of the tree is noticed.

Usage: floors_test.py ROOT
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import report

ROOT = Path(sys.argv[1])
PICTURE = "docs/pictures/floors.svg"


def draw(root, *options):
    """What tools/dev/draw_floors of that tree says."""
    return subprocess.run(
        [sys.executable, "-B", root / "tools/dev/draw_floors", *options, root],
        capture_output=True,
        text=True,
        timeout=60,
    )


def copied_tree(to):
    """As much of the tree as the picture is drawn from, and the picture."""
    for name in ("tools/dev/draw_floors", "tools/dev/check_layers.py", PICTURE):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, to / name)
    for readme in (ROOT / "lib").rglob("README.md"):
        copy = to / readme.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(readme, copy)
    return to


def replace(path, before, after):
    text = path.read_text()
    count = text.count(before)
    report.expect(count == 1, f"{path}: found {before!r} {count} times, expected once")
    path.write_text(text.replace(before, after))


def picture_is_drawn_from_the_tree():
    done = draw(ROOT, "--check")
    report.expect(done.returncode == 0, done.stdout + done.stderr)


def expect_noticed(change, said):
    with tempfile.TemporaryDirectory() as folder:
        tree = copied_tree(Path(folder))
        done = draw(tree, "--check")
        report.expect(done.returncode == 0, "before the change:\n" + done.stdout + done.stderr)
        change(tree)
        done = draw(tree, "--check")
        report.expect(
            done.returncode == 1 and said in done.stdout,
            f"exit code {done.returncode}\n{done.stdout}{done.stderr}",
        )


def expect_table_noticed(before, after):
    expect_noticed(lambda tree: replace(tree / "tools/dev/check_layers.py", before, after), PICTURE)


def changed_order_is_noticed():
    expect_table_noticed('"sys", "error"', '"error", "sys"')


def removed_floor_is_noticed():
    expect_table_noticed('"sys", "error"', '"sys"')


def changed_sentence_is_noticed():
    def change(tree):
        readme = tree / "lib/sys/README.md"
        lines = readme.read_text().splitlines()
        lines[2] = "Another sentence."
        readme.write_text("\n".join(lines) + "\n")

    expect_noticed(change, PICTURE)


def lost_picture_is_noticed():
    expect_noticed(lambda tree: (tree / PICTURE).unlink(), PICTURE)


def floor_without_a_readme_is_noticed():
    expect_noticed(lambda tree: (tree / "lib/sys/README.md").unlink(), "lib/sys/README.md")


def readme_without_a_sentence_is_noticed():
    def change(tree):
        (tree / "lib/sys/README.md").write_text("# lib/sys\n\n- a list\n")

    expect_noticed(change, "lib/sys/README.md")


def every_folder_of_lib_has_a_readme():
    """Also those that are no floor. A folder such as lib/inspect/check is described by its room."""
    folders = [
        path
        for pattern in ("*", "killtest/*")
        for path in (ROOT / "lib").glob(pattern)
        if path.is_dir()
    ]
    missing = [
        str(path.relative_to(ROOT)) for path in folders if not (path / "README.md").is_file()
    ]
    report.expect(folders and not missing, f"without a README.md: {missing}")


sys.exit(
    report.run(
        [
            (f"floors.{case.__name__}", case)
            for case in (
                picture_is_drawn_from_the_tree,
                changed_order_is_noticed,
                removed_floor_is_noticed,
                changed_sentence_is_noticed,
                lost_picture_is_noticed,
                floor_without_a_readme_is_noticed,
                readme_without_a_sentence_is_noticed,
                every_folder_of_lib_has_a_readme,
            )
        ]
    )
)
