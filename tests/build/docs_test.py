#!/usr/bin/env python3
"""The documents hold together: links lead somewhere, man pages are well formed.

Usage: docs_test.py ROOT BUILD"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import report

ROOT, BUILD = Path(sys.argv[1]), Path(sys.argv[2])
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)


def pages():
    folders = [(ROOT / name).rglob("*.md") for name in ("docs", "lib")]
    found = sorted([*ROOT.glob("*.md"), *folders[0], *folders[1]])
    report.expect(found, "no document found")
    return found


def prose(path):
    text = re.sub(r"^(```|~~~).*?^\1", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "``", text)


def anchors(path):
    """The names that headings get on the usual forges: lower case, no punctuation, dashes for
    spaces, numbered if repeated.
    """
    found = set()
    text = re.sub(r"^(```|~~~).*?^\1", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for heading in re.findall(r"^#{1,6}\s+(.*?)\s*#*$", text, re.MULTILINE):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", heading).replace(" ", "-")
        number, plain = 0, name
        while name in found:
            number += 1
            name = f"{plain}-{number}"
        found.add(name)
    return found | set(re.findall(r'<a (?:id|name)="([^"]+)"', path.read_text()))


def links():
    broken = []
    for page in pages():
        for found in LINK.finditer(prose(page)):
            link = found.group(1) or found.group(2)
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if not target.exists():
                broken.append(f"{page.relative_to(ROOT)}: {link}: no such file")
            elif ROOT.resolve() not in [target, *target.parents]:
                broken.append(f"{page.relative_to(ROOT)}: {link}: outside of the repository")
            elif anchor and target.suffix == ".md" and anchor not in anchors(target):
                broken.append(f"{page.relative_to(ROOT)}: {link}: no such heading")
    report.expect(not broken, "broken links:\n" + "\n".join(broken))


def man_pages():
    sources = sorted((ROOT / "docs/man").glob("*.scd"))
    if not sources:
        raise report.skip("there are no man pages")
    if not shutil.which("mandoc") or not shutil.which("scdoc"):
        raise report.skip("mandoc or scdoc is not installed")
    for source in sources:
        page = BUILD / "docs" / source.stem
        report.expect(
            page.exists(), f"{source.name} is not built: is it listed in docs/meson.build?"
        )
        done = subprocess.run(
            ["mandoc", "-T", "lint", "-W", "error", page],
            capture_output=True,
            text=True,
            timeout=60,
        )
        report.expect(done.returncode == 0, f"{source.name}:\n{done.stdout}")


sys.exit(report.run([("docs.links", links), ("docs.man_pages", man_pages)]))
